//! Makes a validated configuration of the options' text.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use authloop_signaling::{ApiKeys, ClusterSettings, PageSource};
use axum::http::{Uri, uri::Authority};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use super::{
    Config, ConfigError, LogFormat, RawConfig, Timeouts, branding,
    parse::{EXPECT_ADDR, EXPECT_BOOL, invalid, origin, parse_or, within},
    relay_addresses, streams, tls,
};
use crate::audit::{self, AuditSettings};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);
/// 3478 is STUN's own port (RFC 8489 section 18.6).
const DEFAULT_RELAY_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 3478);
const MAX_SHARDS: usize = 64;

pub(super) fn validate(raw: RawConfig, json: bool) -> Result<Config, ConfigError> {
    let listen = parse_or("listen", raw.listen, DEFAULT_LISTEN, EXPECT_ADDR)?;
    let admin_listen = admin_listen(raw.admin_listen, listen)?;
    let relay_listen = parse_or(
        "relay_listen",
        raw.relay_listen,
        DEFAULT_RELAY_LISTEN,
        EXPECT_ADDR,
    )?;
    let relay_shards = within("relay_shards", raw.relay_shards, 1, 1..=MAX_SHARDS)?;
    let relay_advertise =
        relay_addresses::advertised(raw.relay_advertise, relay_listen, relay_shards)?;
    let api_keys = api_keys(raw.api_keys_file.as_deref(), raw.api_keys.as_deref())?;
    let open = parse_or(
        "open_registration",
        raw.open_registration,
        false,
        EXPECT_BOOL,
    )?;
    if !listen.ip().is_loopback() && api_keys.is_none() && !open {
        return Err(invalid(
            "listen",
            format!(
                "{listen} is open to other machines, and without API keys any of them could \
                 register sessions: give `--api-keys-file`, or say `--open-registration`"
            ),
        ));
    }
    let public_origin = raw
        .public_origin
        .map(|text| origin("public_origin", &text))
        .transpose()?;
    let tls = tls::RawTlsOptions {
        mode: raw.tls,
        cert: raw.tls_cert,
        key: raw.tls_key,
        directory: raw.acme_directory,
        contact: raw.acme_contact,
        cache: raw.acme_cache,
        ca_file: raw.acme_ca_file,
        agree_tos: raw.acme_agree_tos,
    };
    let tls = tls::parse(tls, public_origin.as_ref())?;
    let log = raw.log.unwrap_or_else(|| "info".to_owned());
    EnvFilter::try_new(&log)
        .map_err(|error| invalid("log", format!("is no log filter: {error}")))?;
    Ok(Config {
        listen,
        admin_listen,
        tls,
        relay_listen,
        relay_advertise,
        relay_shards,
        streams: streams::parse(
            parse_or("streams", raw.streams, true, EXPECT_BOOL)?,
            raw.streams_advertise,
        )?,
        public_origin,
        viewer_origins: raw
            .viewer_origins
            .unwrap_or_default()
            .iter()
            .map(|text| origin("viewer_origins", text))
            .collect::<Result<_, _>>()?,
        allowed_hosts: hosts(raw.allowed_hosts.unwrap_or_default())?,
        embed_origins: branding::embed_origins(raw.embed_origins)?,
        brand: branding::brand(raw.brand_name, raw.brand_logo, raw.brand_accent)?,
        api_keys,
        api_keys_file: raw.api_keys_file.map(PathBuf::from),
        trusted_proxies: proxies(&raw.trusted_proxies.unwrap_or_default())?,
        max_connections: within(
            "max_connections",
            raw.max_connections,
            65_536,
            1..=10_000_000,
        )?,
        max_connections_per_address: within(
            "max_connections_per_address",
            raw.max_connections_per_address,
            4096,
            1..=10_000_000,
        )?,
        max_streams: within("max_streams", raw.max_streams, 2048, 1..=1_000_000)?,
        max_streams_per_address: within(
            "max_streams_per_address",
            raw.max_streams_per_address,
            64,
            1..=1_000_000,
        )?,
        max_sockets: within("max_sockets", raw.max_sockets, 60_000, 1..=10_000_000)?,
        max_sessions: within("max_sessions", raw.max_sessions, 20_000, 1..=10_000_000)?,
        remember_ended: remember_ended(raw.remember_ended)?,
        audit: audit(raw.audit_log, raw.audit_retain)?,
        cluster: cluster(raw.redis_url, raw.redis_url_file, raw.redis_prefix)?,
        viewer: viewer(raw.viewer_dir)?,
        log,
        log_format: match raw.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(_) => return Err(invalid("log_format", "must be `text` or `json`")),
        },
        otlp_endpoint: raw.otlp_endpoint.map(otlp).transpose()?,
        json,
        timeouts: Timeouts::default(),
    })
}

/// An address with or without a path: `/v1/traces` comes behind it. Credentials go into headers.
fn otlp(text: String) -> Result<String, ConfigError> {
    let fits = |url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|a| !a.as_str().contains('@'))
            && url.query().is_none()
            && !url.path().ends_with("/v1/traces")
    };
    if !text.parse().as_ref().is_ok_and(fits) {
        return Err(invalid(
            "otlp_endpoint",
            "must be http:// or https:// without user, query and `/v1/traces`, as in \
             http://127.0.0.1:4318",
        ));
    }
    Ok(text)
}

fn admin_listen(
    given: Option<String>,
    listen: SocketAddr,
) -> Result<Option<SocketAddr>, ConfigError> {
    const KEY: &str = "admin_listen";
    let Some(given) = given else {
        return Ok(None);
    };
    let address = parse_or(KEY, Some(given), listen, EXPECT_ADDR)?;
    let shared = address.port() == listen.port() && address.port() != 0;
    if shared && (address.ip() == listen.ip() || listen.ip().is_unspecified()) {
        return Err(invalid(
            KEY,
            format!("must be another port than that of `listen`, {listen}"),
        ));
    }
    Ok(Some(address))
}

/// Addresses, and networks of them.
fn hosts(names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let is_name = |name: &str| {
        let authority = name.parse::<Authority>();
        authority.is_ok_and(|authority| authority.host() == name)
    };
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(names),
        Some(other) => {
            let expected = "must be host names without scheme and port, as in relay.internal";
            Err(invalid(
                "allowed_hosts",
                format!("{expected}; `{other}` is none"),
            ))
        }
    }
}

fn proxies(texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    texts.iter().map(|text| proxy(text)).collect()
}

fn proxy(text: &str) -> Result<IpNet, ConfigError> {
    const KEY: &str = "trusted_proxies";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        let expected = "must be IP addresses or networks, as in 10.0.0.1 or 10.0.0.0/8";
        invalid(KEY, format!("{expected}; `{text}` is none"))
    })?;
    if net.addr() != net.network() {
        return Err(invalid(
            KEY,
            format!(
                "has `{text}`, whose network is {}: say that, or one address",
                net.trunc()
            ),
        ));
    }
    if net.prefix_len() == 0 {
        return Err(invalid(
            KEY,
            format!("has `{text}`, so everyone could choose whose rate limit they spend"),
        ));
    }
    Ok(net)
}

fn api_keys(file: Option<&str>, inline: Option<&[String]>) -> Result<Option<ApiKeys>, ConfigError> {
    let (key, text) = match (file, inline) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(invalid(
                "api_keys",
                "and `api_keys_file` exclude each other",
            ));
        }
        (Some(path), None) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| invalid("api_keys_file", format!("{path}: {error}")))?;
            ("api_keys_file", Zeroizing::new(text))
        }
        (None, Some(keys)) => ("api_keys", Zeroizing::new(keys.join("\n"))),
    };
    ApiKeys::parse(&text)
        .map(Some)
        .map_err(|error| invalid(key, format!("cannot be used: {error}")))
}

/// The URL itself stays out of every message: it may hold a password.
fn cluster(
    url: Option<String>,
    file: Option<String>,
    prefix: Option<String>,
) -> Result<Option<ClusterSettings>, ConfigError> {
    const URL: &str = "redis_url";
    let (key, url) = match (url, file) {
        (None, None) if prefix.is_some() => {
            return Err(invalid("redis_prefix", "needs a `redis_url`"));
        }
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(invalid(URL, "and `redis_url_file` exclude each other"));
        }
        (Some(url), None) => (URL, url),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| invalid("redis_url_file", format!("{path}: {error}")))?;
            ("redis_url_file", text)
        }
    };
    let prefix = prefix.unwrap_or_else(|| "authloop".to_owned());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(is_plain) {
        return Err(invalid(
            "redis_prefix",
            "must be 1 to 64 letters, digits, or any of -_.:",
        ));
    }
    ClusterSettings::new(url.trim(), &prefix)
        .map(Some)
        .ok_or_else(|| {
            invalid(
                key,
                "must be the URL of one Redis, as in redis://127.0.0.1:6379 or rediss://…; addresses of \
                 Sentinels or of a Redis Cluster are not taken: give that of the primary, or a name \
                 that leads to it",
            )
        })
}

/// How long late comers are told how a session ended.
fn remember_ended(seconds: Option<String>) -> Result<Duration, ConfigError> {
    const DEFAULT_SECONDS: usize = 15 * 60;
    const MAX_SECONDS: usize = 7 * 24 * 60 * 60;
    let seconds = within("remember_ended", seconds, DEFAULT_SECONDS, 0..=MAX_SECONDS)?;
    Ok(Duration::from_secs(seconds as u64))
}

fn audit(
    file: Option<String>,
    retain: Option<String>,
) -> Result<Option<AuditSettings>, ConfigError> {
    const RETAIN: &str = "audit_retain";
    let Some(file) = file else {
        return match retain {
            Some(_) => Err(invalid(RETAIN, "needs an `audit_log`")),
            None => Ok(None),
        };
    };
    let retain_days = retain
        .map(|days| within(RETAIN, Some(days), 0, 1..=3650))
        .transpose()?;
    let file = PathBuf::from(file);
    match audit::check_writable(&file) {
        Ok(()) => {}
        // By a server that runs; `check` says so, and `serve` cannot start.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
        Err(error) => {
            let reason = format!("{}: {error}", file.display());
            return Err(invalid("audit_log", reason));
        }
    }
    Ok(Some(AuditSettings {
        file,
        retention: retain_days.map(|days| time::Duration::days(days as i64)),
    }))
}

fn viewer(folder: Option<String>) -> Result<PageSource, ConfigError> {
    let Some(folder) = folder else {
        return Ok(PageSource::Embedded);
    };
    if !Path::new(&folder).join("index.html").is_file() {
        return Err(invalid(
            "viewer_dir",
            format!("has no index.html: {folder}"),
        ));
    }
    Ok(PageSource::Directory(folder.into()))
}

#[cfg(test)]
mod tests;
