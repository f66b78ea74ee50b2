//! Configuration in two stages: flags, environment and file are merged as text, then become one
//! validated [`Config`]. Nothing opens a port before that.

mod branding;
mod parse;
mod raw;
mod relay_addresses;
mod sources;
mod streams;
mod timeouts;
mod tls;
mod validate;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use authloop_signaling::{ApiKeys, Brand, ClusterSettings, PageSource, origin::Origin};
use ipnet::IpNet;

use crate::{audit::AuditSettings, shard::AdvertisedAddress};

pub use raw::{RawConfig, ServeArgs};
pub use streams::{StreamEndpoints, StreamSettings};
pub use timeouts::Timeouts;
pub use tls::{AcmeSettings, TlsMode};

/// Everything the server needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// Where operators and orchestrators ask; `None` for the HTTP port.
    pub admin_listen: Option<SocketAddr>,
    /// How HTTP is protected.
    pub tls: TlsMode,
    /// Where the relay listens; shard `n` on this port + n.
    pub relay_listen: SocketAddr,
    /// Where the world reaches the relay, best first.
    pub relay_advertise: Vec<AdvertisedAddress>,
    /// The relay's threads.
    pub relay_shards: usize,
    /// ICE-TCP and TURN at the HTTP port.
    pub streams: StreamSettings,
    /// The origin that the world sees, if it was given.
    pub public_origin: Option<Origin>,
    /// Other origins whose pages may act as viewers.
    pub viewer_origins: Vec<Origin>,
    /// Further names by which requests may ask for this server.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may frame the viewer page.
    pub embed_origins: Vec<Origin>,
    /// What the viewer page shows of the organisation that runs it.
    pub brand: Brand,
    /// Who may register sessions; `None` lets anyone.
    pub api_keys: Option<ApiKeys>,
    /// The file they came from, which is read again when it changes.
    pub api_keys_file: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that may be open at once at the HTTP port, streams apart.
    pub max_connections: usize,
    /// Connections that one client address may have open, unless it is a trusted proxy's.
    pub max_connections_per_address: usize,
    /// Streams that may be open at once at the HTTP port.
    pub max_streams: usize,
    /// Streams that one client address may have open, unless it is a trusted proxy's.
    pub max_streams_per_address: usize,
    /// WebSockets that may be open at once.
    pub max_sockets: usize,
    /// Sessions that may be open at once.
    pub max_sessions: usize,
    /// How long an ended session is remembered, here and in Redis.
    pub remember_ended: Duration,
    /// Where the audit log goes; `None` for none.
    pub audit: Option<AuditSettings>,
    /// Where several servers meet; `None` for a server alone.
    pub cluster: Option<ClusterSettings>,
    /// Where the page's files come from.
    pub viewer: PageSource,
    /// A `tracing` filter.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The OTLP receiver that traces go to; `None` for none.
    pub otlp_endpoint: Option<String>,
    /// Whether the ready line is JSON.
    pub json: bool,
    /// How long the server waits.
    pub timeouts: Timeouts,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is wrong with the configuration, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key that no option has.
    #[error("unknown key `{key}` in {origin}{}", nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    UnknownKey {
        /// As written.
        key: String,
        /// The file's name, or the environment.
        origin: String,
        /// The most similar key.
        nearest: Option<String>,
    },
    /// A source that cannot be read.
    #[error("{0}")]
    Source(String),
    /// An option's value that does not work.
    #[error("`{key}` {reason}")]
    Invalid {
        /// The option.
        key: &'static str,
        /// What is wrong, and its fix.
        reason: String,
    },
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong in one sentence.
    pub fn load(
        args: &ServeArgs,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let raw = sources::merge(args, environment)?;
        validate::validate(raw, args.json)
    }

    /// The origin that the world sees, once HTTP listens at `bound`.
    #[must_use]
    pub fn origin_at(&self, bound: SocketAddr) -> String {
        if let Some(origin) = &self.public_origin {
            return origin.to_string();
        }
        let scheme = if self.tls == TlsMode::Off {
            "http"
        } else {
            "https"
        };
        let ip = if bound.ip().is_unspecified() {
            let first = self.relay_advertise.first();
            first.map_or(bound.ip(), |address| address.ip)
        } else {
            bound.ip()
        };
        format!("{scheme}://{}", SocketAddr::new(ip, bound.port()))
    }
}
