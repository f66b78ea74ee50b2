//! The options as text, not yet validated, from flags, environment and file alike.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Deserializer, Serialize};

/// Flags of `serve` and `check`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Read options from this TOML file; its keys are the flags' names, with `_` for `-`.
    #[arg(long, value_name = "FILE", env = "AUTHLOOP_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print one JSON object when ready, instead of a sentence.
    #[arg(long)]
    pub json: bool,
    /// Let no ICE-TCP and no TURN in at the HTTP port, as `--streams false` does.
    #[arg(long, conflicts_with = "streams")]
    pub no_streams: bool,
    /// The options that can come from flags, environment and file.
    #[command(flatten)]
    pub options: RawConfig,
}

/// The options as text, from one source or merged from all. Flags win over `AUTHLOOP_…`
/// environment variables, and those over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Address for HTTP and WebSocket; port 0 takes a free one [default: 127.0.0.1:7443].
    #[arg(long, value_name = "IP:PORT")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Address for `/livez`, `/readyz`, `/metrics` and `/audit/head` by plain HTTP, which are then
    /// nowhere else [default: at the HTTP port].
    #[arg(long, value_name = "IP:PORT")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<String>,
    /// UDP address of the relay; port 0 takes a free one [default: 0.0.0.0:3478].
    #[arg(long, value_name = "IP:PORT")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub relay_listen: Option<String>,
    /// Addresses at which browsers and hosts reach the relay, each with the port there if it is not the
    /// one of `relay_listen` [default: this machine's own].
    #[arg(long, value_name = "IP[:PORT]", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub relay_advertise: Option<Vec<String>>,
    /// Threads of the relay, each with a UDP port of its own [default: 1].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub relay_shards: Option<String>,
    /// `false` lets no ICE-TCP and no TURN in at the HTTP port, which otherwise carry sessions
    /// where no UDP is let out [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub streams: Option<String>,
    /// Where the world reaches the HTTP port for that: `tcp:IP:PORT`, `turn:HOST:PORT`,
    /// `turns:HOST:PORT` [default: made of the public origin; nothing behind an HTTP proxy].
    #[arg(long, value_name = "WAY", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub streams_advertise: Option<Vec<String>>,
    /// Origin at which the world sees this server: scheme, host and port
    /// [default: made of the listening address].
    #[arg(long, value_name = "ORIGIN")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub public_origin: Option<String>,
    /// Other origins whose pages may act as viewers.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub viewer_origins: Option<Vec<String>>,
    /// Further names in requests' `Host`, as a proxy may write them; the public origin's and the viewer
    /// origins', addresses and `localhost` are always allowed.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub allowed_hosts: Option<Vec<String>>,
    /// Origins whose pages may show the viewer page in a frame, and hear how the session stands
    /// [default: none].
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub embed_origins: Option<Vec<String>>,
    /// The name on the viewer page [default: authloop].
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub brand_name: Option<String>,
    /// The picture beside it: an SVG or PNG file of at most 64 KiB.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub brand_logo: Option<String>,
    /// The colour of its buttons and marks, as in `#1a6453`; one that cannot be read is refused.
    #[arg(long, value_name = "COLOUR")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub brand_accent: Option<String>,
    /// File with the API keys, one a line: `NAME SCOPE[+SCOPE…] KEY [expires=TIME] [rate=N]`, or
    /// `KEY` alone to register sessions; KEY plain or as `sha256:<hexadecimal digits>`. Read again
    /// when it changes and on SIGHUP. `authloop keys new` makes lines.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub api_keys_file: Option<String>,
    /// The API keys themselves; from the environment or the file only, since a command line is
    /// for all to see.
    #[arg(skip)]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<Vec<String>>,
    /// `true` lets anyone register sessions although the server listens beyond loopback.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub open_registration: Option<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses, or networks as in 10.0.0.0/8.
    #[arg(long, value_name = "IP[/BITS]", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<Vec<String>>,
    /// `off`, `self-signed`, `files` or `acme` [default: off].
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Certificate chain in PEM, for `--tls files`.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<String>,
    /// Private key in PEM, for `--tls files`.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// Directory of the ACME server that issues the certificate for the public origin's host, for
    /// `--tls acme` [default: Let's Encrypt's].
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub acme_directory: Option<String>,
    /// Mail addresses for its account, which the authority may write to.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub acme_contact: Option<Vec<String>>,
    /// Folder, its owner's only, for the account's key and the certificates.
    #[arg(long, value_name = "FOLDER")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub acme_cache: Option<String>,
    /// Root certificate in PEM of a private directory's HTTPS, instead of the system's roots.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub acme_ca_file: Option<String>,
    /// `true` says that you agree to the authority's terms of service; `--tls acme` needs it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub acme_agree_tos: Option<String>,
    /// Connections that may be open at once at the HTTP port [default: 65536].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<String>,
    /// Of them, those of one address that is no trusted proxy's; an IPv6 client is its /64,
    /// and a /48 may have four times as many [default: 4096].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_connections_per_address: Option<String>,
    /// ICE-TCP and TURN streams that may be open at once at the HTTP port; each takes two descriptors
    /// [default: 2048].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<String>,
    /// Of them, those of one address that is no trusted proxy's, as an office has that lets no UDP out
    /// [default: 64].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_streams_per_address: Option<String>,
    /// WebSockets that may be open at once; a connection beyond them can still get the page and use
    /// the sessions API [default: 60000].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_sockets: Option<String>,
    /// Sessions that may be open at once [default: 20000].
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<String>,
    /// Seconds for which an ended session is remembered, so that late comers hear how it ended
    /// [default: 900].
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub remember_ended: Option<String>,
    /// Write what happens to sessions and keys to this file, one JSON object a line, each with the
    /// hash of the line before; full or older segments lie beside it [default: none].
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<String>,
    /// Days after which a segment of the audit log is removed [default: never].
    #[arg(long, value_name = "DAYS")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub audit_retain: Option<String>,
    /// Redis through which several servers act as one, as in `redis://10.0.0.5:6379`.
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<String>,
    /// File with that URL, for one that holds a password.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub redis_url_file: Option<String>,
    /// What every key in Redis begins with; servers with the same prefix are one group
    /// [default: authloop].
    #[arg(long, value_name = "TEXT")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub redis_prefix: Option<String>,
    /// Serve the viewer page from this folder instead of from the binary.
    #[arg(long, value_name = "FOLDER")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub viewer_dir: Option<String>,
    /// What to log, as in `info` or `authloop=debug,info` [default: info].
    #[arg(long, value_name = "FILTER")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// `text` or `json` [default: text].
    #[arg(long, value_name = "FORMAT")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
    /// Send traces to this OTLP receiver by HTTP, as in `http://127.0.0.1:4318`; headers for it come from
    /// OTEL_EXPORTER_OTLP_HEADERS, more attributes from OTEL_RESOURCE_ATTRIBUTES [default: none].
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
}

/// A value as TOML may write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawScalar {
    Text(String),
    Flag(bool),
    Number(i64),
}

impl RawScalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Takes `max_sessions = 5` as well as `"5"`: the second stage parses both alike.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    RawScalar::deserialize(deserializer).map(|loose| Some(loose.into_text()))
}

/// Takes a list, or one text with commas.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(RawScalar),
        Many(Vec<RawScalar>),
    }
    let items = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => text.into_text().split(',').map(str::to_owned).collect(),
        OneOrMany::Many(items) => items
            .into_iter()
            .map(RawScalar::into_text)
            .collect::<Vec<_>>(),
    };
    let items = items.iter().map(|item| item.trim().to_owned());
    Ok(Some(items.filter(|item| !item.is_empty()).collect()))
}
