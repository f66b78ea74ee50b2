//! `authloop check`: what `serve` would find, and what to do about it.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::{SystemTime, UNIX_EPOCH},
};

use authloop_signaling::{Cluster, ClusterSettings, PageSource, Scope, origin::Origin};

use crate::{
    audit::{self, AuditSettings},
    config::{AcmeSettings, Config, StreamSettings, TlsMode},
    descriptors,
    finding::Finding,
    shard::AdvertisedAddress,
    tls::{self, CertificateAndKey},
};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Days before its end by which a certificate should have been renewed: of the usual 90, the last 30
/// are for that.
const MIN_DAYS_LEFT: i64 = 14;

/// Looks at everything; opens each port for a moment.
#[must_use]
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::good("the configuration is valid")];
    findings.push(tcp_port(config.listen, "HTTP", "--listen"));
    let admin = config.admin_listen;
    findings.extend(admin.map(|listen| tcp_port(listen, "operators", "--admin-listen")));
    findings.extend(udp_ports(config));
    let origin = config.origin_at(config.listen).parse::<Origin>().ok();
    let public_host = origin.as_ref().map(Origin::host);
    findings.push(advertised(&config.relay_advertise, public_host));
    findings.push(streams(config));
    findings.push(open_files(config));
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
        Ok(_) => Finding::good(format!("TCP {listen} is free for {purpose}")),
        Err(error) => Finding::bad(format!(
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
                return Finding::bad(
                    "the relay's ports end beyond 65535; fix: a lower port in --relay-listen",
                );
            };
            let address = SocketAddr::new(listen.ip(), port);
            match UdpSocket::bind(address) {
                Ok(_) => Finding::good(format!("UDP {address} is free for the relay")),
                Err(error) => Finding::bad(format!(
                    "UDP {address} cannot be had ({error}); fix: end what holds it, or give \
                     another --relay-listen"
                )),
            }
        })
        .collect()
}

fn advertised(addresses: &[AdvertisedAddress], public_host: Option<&str>) -> Finding {
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    if addresses.iter().all(|address| address.ip.is_loopback()) {
        return Finding::doubtful(format!(
            "the relay is advertised at {list} only, so just this machine can use it; fix: \
             --relay-advertise with an address that phones reach, and an open UDP port there"
        ));
    }
    // Links that lead out into the internet, and media that does not leave the house.
    let leads_out = public_host.is_some_and(|host| !is_local(host) && !is_inner_host(host));
    if leads_out && addresses.iter().all(|address| is_inner(address.ip)) {
        return Finding::doubtful(format!(
            "the relay is advertised at {list} only, which nobody outside its network reaches; fix: \
             --relay-advertise with the address that the internet has for this machine"
        ));
    }
    Finding::good(format!("the relay is advertised at {list}"))
}

/// An address of a network of one's own (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291) or of this machine.
fn is_inner(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a, b & 0xc0) == (100, 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn is_inner_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().is_ok_and(is_inner)
}

fn open_files(config: &Config) -> Finding {
    let (needed, available) = (descriptors::needed(config), descriptors::available());
    if available < needed {
        return Finding::doubtful(format!(
            "{available} files may be open, and all connections that may be take {needed}; fix: a higher \
             LimitNOFILE or ulimit -n, or a lower --max-connections"
        ));
    }
    Finding::good("as many files may be open as connections")
}

fn streams(config: &Config) -> Finding {
    let endpoints = config.stream_endpoints(config.listen);
    match config.streams {
        StreamSettings::Off => Finding::doubtful(
            "ICE-TCP and TURN are off, so networks that let no UDP out cannot use this server; \
             fix: leave --streams and --no-streams out",
        ),
        _ if endpoints.is_empty() => Finding::doubtful(
            "there seems to be an HTTP proxy in front, so nobody is told of ICE-TCP and TURN at \
             the HTTP port, and networks that let no UDP out cannot use this server; fix: \
             --streams-advertise with ways that reach it directly, as in turns:relay.example:8443",
        ),
        _ => Finding::good(format!("without UDP, clients try {endpoints}")),
    }
}

fn public_origin(config: &Config) -> Finding {
    let origin = config.origin_at(config.listen);
    let Ok(parsed) = origin.parse::<Origin>() else {
        return Finding::bad(format!("{origin} is no origin; fix: give --public-origin"));
    };
    if parsed.is_secure() || is_local(parsed.host()) {
        return Finding::good(format!("links will start with {origin}"));
    }
    Finding::bad(format!(
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
        TlsMode::Off => return vec![Finding::good("HTTP is plain here")],
        TlsMode::SelfSigned => {
            return vec![Finding::good(
                "the certificate will be made at the start, and browsers will ask about it",
            )];
        }
        TlsMode::Acme(acme) => return acme_findings(config, acme),
        TlsMode::Files { cert, key } => tls::read_files(cert, key),
    };
    let pair = match pair {
        Ok(pair) => pair,
        Err(error) => {
            return vec![Finding::bad(format!(
                "{error:#}; fix: --tls-cert and --tls-key of one pair in PEM"
            ))];
        }
    };
    let mut findings = vec![Finding::good("the certificate and the key work together")];
    findings.push(days_left(&pair, tls::unix_now()));
    findings.extend(names(&pair, config));
    findings
}

fn acme_findings(config: &Config, acme: &AcmeSettings) -> Vec<Finding> {
    let now = tls::unix_now();
    let (domain, directory) = (&acme.domain, &acme.directory);
    let mut findings = match tls::read_cached_certificate(acme, now) {
        Some(pair) => vec![days_left(&pair, now)],
        None => vec![Finding::good(format!(
            "a certificate for {domain} will be asked for at {directory}, and browsers will be \
             shown a self-signed one until then"
        ))],
    };
    // RFC 8737 §3.
    if config.listen.port() != 443 {
        findings.push(Finding::doubtful(format!(
            "the authority will come to {domain} at port 443, but the server listens at {}; fix: \
             --listen with port 443, or forward TCP 443 to it",
            config.listen
        )));
    }
    if config.cluster.is_some() {
        findings.push(Finding::doubtful(
            "several servers of one name each ask for a certificate, and the authority may come to \
             another than asked; fix: --tls files with one certificate for all",
        ));
    }
    findings
}

/// `now` in seconds since 1970.
fn days_left(pair: &CertificateAndKey, now: i64) -> Finding {
    let days = (pair.not_after - now) / SECONDS_PER_DAY;
    if pair.has_expired(now) {
        return Finding::bad(
            "the certificate has expired; fix: renew it, the server takes up new files",
        );
    }
    if pair.not_before > now {
        return Finding::bad("the certificate is not valid yet; fix: set the clock, or wait");
    }
    if days < MIN_DAYS_LEFT {
        return Finding::doubtful(format!(
            "the certificate expires in {days} days; fix: renew it, the server takes up new files"
        ));
    }
    Finding::good(format!("the certificate is valid for {days} more days"))
}

fn names(pair: &CertificateAndKey, config: &Config) -> Option<Finding> {
    let origin: Origin = config.origin_at(config.listen).parse().ok()?;
    let host = origin.host();
    Some(if pair.covers(host) {
        Finding::good(format!("the certificate is for {host}"))
    } else {
        Finding::bad(format!(
            "the certificate is not for {host}, so browsers refuse it; fix: one that names \
             {host}, or another --public-origin"
        ))
    })
}

fn page(viewer: &PageSource) -> Finding {
    match viewer {
        PageSource::Directory(folder) => {
            Finding::good(format!("the page comes from {}", folder.display()))
        }
        PageSource::Embedded => {
            let files: Vec<_> = PageSource::embedded_paths().collect();
            if files.iter().any(|path| path == "index.html") {
                Finding::good(format!("the page is in the binary ({} files)", files.len()))
            } else {
                Finding::bad(
                    "this binary was built without the viewer page; fix: --viewer-dir, or build it again",
                )
            }
        }
    }
}

fn registration(config: &Config) -> Finding {
    match &config.api_keys {
        Some(keys) if keys.mentions(Scope::CreateSessions) => {
            Finding::good(format!("{} API keys are known", keys.count()))
        }
        Some(_) => Finding::bad(
            "no API key has the scope sessions:create, so nobody could register sessions; fix: \
             authloop keys new --name NAME, and its line into the keys file",
        ),
        None if config.listen.ip().is_loopback() => {
            Finding::good("anyone on this machine may register sessions")
        }
        None => Finding::doubtful(
            "anyone who reaches this server may register sessions; fix: --api-keys-file",
        ),
    }
}

fn odd_keys(config: &Config) -> Vec<Finding> {
    let Some(keys) = &config.api_keys else {
        return Vec::new();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let warnings = keys.warnings(now.map_or(0, |since| since.as_secs()));
    let fix = |oddity| {
        Finding::doubtful(format!(
            "{oddity}; fix: a second line of that name by authloop keys new, and then without the old"
        ))
    };
    warnings.into_iter().map(fix).collect()
}

fn audit_log(settings: &AuditSettings) -> Finding {
    let file = settings.file.display();
    match audit::check_writable(&settings.file) {
        Ok(()) => Finding::good(format!("the audit log can be written to {file}")),
        Err(error) => Finding::bad(format!(
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
        Ok(()) => Finding::good("Redis answers, runs scripts and takes what they write"),
        Err(error) => Finding::bad(format!(
            "{error}; fix: --redis-url with the address, user name and password of a Redis 7 that \
             runs, and an ACL that allows scripts and channels"
        )),
    }
}

#[cfg(test)]
mod tests;
