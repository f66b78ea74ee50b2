//! `authloop check`: what `serve` would find, and what to do about it.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::{SystemTime, UNIX_EPOCH},
};

use authloop_signaling::{Cluster, ClusterSettings, PageSource, Scope, origin::Origin};

use crate::{
    audit::{self, AuditSettings},
    config::{Acme, Config, StreamSettings, Tls},
    tls::{self, Pair},
};

const DAY: i64 = 24 * 60 * 60;
/// Days before its end at which a certificate should have been renewed: of the 90 that are usual,
/// the last 30 are for that.
const SOON: i64 = 14;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, and the fix if one is needed.
    pub text: String,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but not for everyone.
    Doubtful,
    /// `serve` would fail, or no user could use it.
    Bad,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Doubtful => "warn",
            Verdict::Bad => "FAIL",
        };
        write!(f, "{verdict}  {}", self.text)
    }
}

/// Looks at everything; opens each port for a moment.
#[must_use]
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![good("the configuration is valid")];
    findings.push(tcp_port(config.listen, "HTTP", "--listen"));
    let admin = config.admin_listen;
    findings.extend(admin.map(|listen| tcp_port(listen, "operators", "--admin-listen")));
    findings.extend(udp_ports(config));
    findings.push(advertised(&config.relay_advertise));
    findings.push(streams(config));
    findings.push(public_origin(config));
    findings.extend(certificate(config));
    findings.push(page(&config.viewer));
    findings.push(registration(config));
    findings.extend(odd_keys(config));
    findings.extend(config.audit.as_ref().map(audit_log));
    findings.extend(config.cluster.as_ref().map(redis));
    findings
}

fn tcp_port(listen: SocketAddr, purpose: &str, flag: &str) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => good(format!("TCP {listen} is free for {purpose}")),
        Err(error) => bad(format!(
            "TCP {listen} cannot be had ({error}); fix: end what holds it, or give another {flag}"
        )),
    }
}

fn udp_ports(config: &Config) -> Vec<Finding> {
    let listen = config.relay_listen;
    let port = |shard: u16| match listen.port() {
        0 => Some(0),
        first => first.checked_add(shard),
    };
    let shards = u16::try_from(config.relay_shards).unwrap_or(u16::MAX);
    (0..shards)
        .map(|shard| {
            let Some(port) = port(shard) else {
                return bad(
                    "the relay's ports end beyond 65535; fix: a lower port in --relay-listen",
                );
            };
            let address = SocketAddr::new(listen.ip(), port);
            match UdpSocket::bind(address) {
                Ok(_) => good(format!("UDP {address} is free for the relay")),
                Err(error) => bad(format!(
                    "UDP {address} cannot be had ({error}); fix: end what holds it, or give \
                     another --relay-listen"
                )),
            }
        })
        .collect()
}

fn advertised(addresses: &[IpAddr]) -> Finding {
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    if addresses.iter().all(IpAddr::is_loopback) {
        return doubtful(format!(
            "the relay is advertised at {list} only, so just this machine can use it; fix: \
             --relay-advertise with an address that phones reach, and an open UDP port there"
        ));
    }
    good(format!("the relay is advertised at {list}"))
}

fn streams(config: &Config) -> Finding {
    let endpoints = config.stream_endpoints(config.listen);
    match config.streams {
        StreamSettings::Off => doubtful(
            "ICE-TCP and TURN are off, so networks that let no UDP out cannot use this server; \
             fix: leave --streams out",
        ),
        _ if endpoints.is_empty() => doubtful(
            "there seems to be an HTTP proxy in front, so nobody is told of ICE-TCP and TURN at \
             the HTTP port, and networks that let no UDP out cannot use this server; fix: \
             --streams-advertise with ways that reach it directly, as in turns:relay.example:8443",
        ),
        _ => good(format!("without UDP, clients try {endpoints}")),
    }
}

fn public_origin(config: &Config) -> Finding {
    let origin = config.origin_at(config.listen);
    let Ok(parsed) = origin.parse::<Origin>() else {
        return bad(format!("{origin} is no origin; fix: give --public-origin"));
    };
    if parsed.is_secure() || is_local(parsed.host()) {
        return good(format!("links will start with {origin}"));
    }
    bad(format!(
        "links would start with {origin}, where browsers withhold the cryptography that the page \
         needs; fix: --tls acme, --tls files, --tls self-signed, or a TLS proxy and --public-origin https://…"
    ))
}

/// Browsers treat these hosts as secure contexts without TLS.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn certificate(config: &Config) -> Vec<Finding> {
    let pair = match &config.tls {
        Tls::Off => return vec![good("HTTP is plain here")],
        Tls::SelfSigned => {
            return vec![good(
                "the certificate will be made at the start, and browsers will ask about it",
            )];
        }
        Tls::Acme(acme) => return acme_findings(config, acme),
        Tls::Files { cert, key } => tls::read_files(cert, key),
    };
    let pair = match pair {
        Ok(pair) => pair,
        Err(error) => {
            return vec![bad(format!(
                "{error:#}; fix: --tls-cert and --tls-key of one pair in PEM"
            ))];
        }
    };
    let mut findings = vec![good("the certificate and the key work together")];
    findings.push(days_left(&pair, tls::unix_now()));
    findings.extend(names(&pair, config));
    findings
}

fn acme_findings(config: &Config, acme: &Acme) -> Vec<Finding> {
    let now = tls::unix_now();
    let (domain, directory) = (&acme.domain, &acme.directory);
    let mut findings = match tls::read_cache(acme, now) {
        Some(pair) => vec![days_left(&pair, now)],
        None => vec![good(format!(
            "a certificate for {domain} will be asked for at {directory}, and browsers will be \
             shown a self-signed one until then"
        ))],
    };
    // RFC 8737 §3.
    if config.listen.port() != 443 {
        findings.push(doubtful(format!(
            "the authority will come to {domain} at port 443, but the server listens at {}; fix: \
             --listen with port 443, or forward TCP 443 to it",
            config.listen
        )));
    }
    if config.cluster.is_some() {
        findings.push(doubtful(
            "several servers of one name each ask for a certificate, and the authority may come to \
             another than asked; fix: --tls files with one certificate for all",
        ));
    }
    findings
}

/// `now` in seconds since 1970.
fn days_left(pair: &Pair, now: i64) -> Finding {
    let days = (pair.not_after - now) / DAY;
    if pair.has_expired(now) {
        return bad("the certificate has expired; fix: renew it, the server takes up new files");
    }
    if pair.not_before > now {
        return bad("the certificate is not valid yet; fix: set the clock, or wait");
    }
    if days < SOON {
        return doubtful(format!(
            "the certificate expires in {days} days; fix: renew it, the server takes up new files"
        ));
    }
    good(format!("the certificate is valid for {days} more days"))
}

fn names(pair: &Pair, config: &Config) -> Option<Finding> {
    let origin: Origin = config.origin_at(config.listen).parse().ok()?;
    let host = origin.host();
    Some(if pair.covers(host) {
        good(format!("the certificate is for {host}"))
    } else {
        bad(format!(
            "the certificate is not for {host}, so browsers refuse it; fix: one that names \
             {host}, or another --public-origin"
        ))
    })
}

fn page(viewer: &PageSource) -> Finding {
    match viewer {
        PageSource::Directory(folder) => good(format!("the page comes from {}", folder.display())),
        PageSource::Embedded => {
            let files: Vec<_> = PageSource::embedded_paths().collect();
            if files.iter().any(|path| path == "index.html") {
                good(format!("the page is in the binary ({} files)", files.len()))
            } else {
                bad(
                    "this binary was built without the viewer page; fix: --viewer-dir, or build it again",
                )
            }
        }
    }
}

fn registration(config: &Config) -> Finding {
    match &config.api_keys {
        Some(keys) if keys.mentions(Scope::CreateSessions) => {
            good(format!("{} API keys are known", keys.count()))
        }
        Some(_) => bad(
            "no API key has the scope sessions:create, so nobody could register sessions; fix: \
             authloop keys new --name NAME, and its line into the keys file",
        ),
        None if config.listen.ip().is_loopback() => {
            good("anyone on this machine may register sessions")
        }
        None => {
            doubtful("anyone who reaches this server may register sessions; fix: --api-keys-file")
        }
    }
}

fn odd_keys(config: &Config) -> Vec<Finding> {
    let Some(keys) = &config.api_keys else {
        return Vec::new();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let warnings = keys.warnings(now.map_or(0, |since| since.as_secs()));
    let fix = |oddity| {
        doubtful(format!(
            "{oddity}; fix: a second line of that name by authloop keys new, and then without the old"
        ))
    };
    warnings.into_iter().map(fix).collect()
}

fn audit_log(settings: &AuditSettings) -> Finding {
    let file = settings.file.display();
    match audit::try_out(&settings.file) {
        Ok(()) => good(format!("the audit log can be written to {file}")),
        Err(error) => bad(format!(
            "the audit log {file} cannot be had ({error}); fix: end what holds it, or give another \
             --audit-log"
        )),
    }
}

fn redis(cluster: &ClusterSettings) -> Finding {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let tried = match runtime {
        Ok(runtime) => runtime
            .block_on(Cluster::try_out(cluster))
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match tried {
        Ok(()) => good("Redis answers, and runs scripts"),
        Err(error) => bad(format!(
            "{error}; fix: --redis-url with the address, user name and password of a Redis 7 that \
             runs, and an ACL that allows scripts and channels"
        )),
    }
}

fn good(text: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Good,
        text: text.into(),
    }
}

fn doubtful(text: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Doubtful,
        text: text.into(),
    }
}

fn bad(text: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Bad,
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{RawConfig, ServeArgs};

    fn config(options: RawConfig) -> Config {
        let args = ServeArgs {
            options,
            ..ServeArgs::default()
        };
        Config::load(&args, []).unwrap()
    }

    fn find(findings: &[Finding], verdict: Verdict, part: &str) -> bool {
        findings
            .iter()
            .any(|finding| finding.verdict == verdict && finding.text.contains(part))
    }

    fn with_certificate(names: &[&str], days: i64) -> Vec<Finding> {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = tls::tests::pem(names, days);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path.to_str().unwrap().to_owned())
        };
        certificate(&config(RawConfig {
            public_origin: Some("https://relay.example".to_owned()),
            tls_cert: file("cert.pem", &chain),
            tls_key: file("key.pem", &key),
            ..RawConfig::default()
        }))
    }

    #[test]
    fn a_certificate_that_will_not_do_is_named() {
        let fine = with_certificate(&["relay.example"], 90);
        assert!(
            fine.iter().all(|finding| finding.verdict == Verdict::Good),
            "{fine:?}"
        );
        let ending = with_certificate(&["relay.example"], 10);
        assert!(find(&ending, Verdict::Doubtful, "expires in"), "{ending:?}");
        let ended = with_certificate(&["relay.example"], 1);
        assert!(find(&ended, Verdict::Bad, "has expired"), "{ended:?}");
        let other = with_certificate(&["other.example"], 90);
        assert!(
            find(&other, Verdict::Bad, "not for relay.example"),
            "{other:?}"
        );
    }

    #[test]
    fn names_a_taken_port_and_its_fix() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let findings = check(&config(RawConfig {
            listen: Some(taken.to_string()),
            relay_listen: Some("127.0.0.1:0".to_owned()),
            ..RawConfig::default()
        }));
        assert!(find(&findings, Verdict::Bad, "--listen"), "{findings:?}");
        assert!(
            find(&findings, Verdict::Doubtful, "--relay-advertise"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_redis_that_is_not_there_is_named_without_its_password() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let findings = check(&config(RawConfig {
            redis_url: Some(format!("redis://user:hunter2@{port}")),
            ..RawConfig::default()
        }));
        assert!(find(&findings, Verdict::Bad, "--redis-url"), "{findings:?}");
        assert!(!format!("{findings:?}").contains("hunter2"));
    }

    #[test]
    fn networks_without_udp_are_spoken_of() {
        let proxied = RawConfig {
            public_origin: Some("https://relay.example".to_owned()),
            ..RawConfig::default()
        };
        let findings = check(&config(proxied.clone()));
        assert!(find(&findings, Verdict::Doubtful, "--streams-advertise"));
        let way = "turns:relay.example:8443".to_owned();
        let advertised = RawConfig {
            streams_advertise: Some(vec![way.clone()]),
            ..proxied
        };
        assert!(find(&check(&config(advertised)), Verdict::Good, &way));
    }

    #[test]
    fn plain_http_beyond_loopback_is_no_secure_context() {
        let options = RawConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            public_origin: Some("http://relay.example".to_owned()),
            ..RawConfig::default()
        };
        assert!(find(
            &check(&config(options.clone())),
            Verdict::Bad,
            "--tls"
        ));
        let options = RawConfig {
            public_origin: Some("http://[::1]:7443".to_owned()),
            ..options
        };
        assert!(find(
            &check(&config(options)),
            Verdict::Good,
            "links will start"
        ));
    }
}
