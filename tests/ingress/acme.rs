//! Certificates from a real ACME server: Debian's `pebble`, with its own DNS.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use authloop::config::{Config, RawConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, pki_types::CertificateDer};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::support::{self, Server, TEST_TIMEOUT, get, roots, shown, text, tls, wait_for};

/// An authority that believes what `port` of this machine answers for any name.
struct Authority {
    _pebble: Child,
    _dns: Child,
    /// Where it is, the same for the next one in this folder.
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    directory: u16,
    management: u16,
    dns: u16,
    dns_management: u16,
}

impl Ports {
    fn free() -> Self {
        let [directory, management, dns, dns_management] = free_ports();
        Self {
            directory,
            management,
            dns,
            dns_management,
        }
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The authority's own HTTPS: a root, and a certificate for this machine.
fn write_pki(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("root.pem", root.pem()),
        ("leaf.pem", leaf.pem()),
        ("leaf.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}

impl Authority {
    /// `port` is where challenges are looked for; `life` that of certificates, in seconds.
    async fn start(folder: &Path, ports: Ports, port: u16, life: u64) -> Self {
        if !folder.join("root.pem").exists() {
            write_pki(folder);
        }
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", ports.directory),
            "managementListenAddress": format!("127.0.0.1:{}", ports.management),
            "certificate": folder.join("leaf.pem"),
            "privateKey": folder.join("leaf.key"),
            "httpPort": 1,
            "tlsPort": port,
            "certificateValidityPeriod": life,
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let dns = format!("127.0.0.1:{}", ports.dns);
        let dns_management = format!("127.0.0.1:{}", ports.dns_management);
        let mut resolver = Command::new("pebble-challtestsrv");
        resolver.args(["-dns01", &dns, "-management", &dns_management]);
        for off in ["-defaultIPv6", "-http01", "-https01", "-tlsalpn01"] {
            resolver.args([off, ""]);
        }
        let mut pebble = Command::new("pebble");
        pebble
            .env("PEBBLE_VA_NOSLEEP", "1")
            .args(["-dnsserver", &dns, "-config"])
            .arg(&file);
        let (dns, pebble) = tokio::join!(
            spawn(resolver, "Starting challenge servers"),
            spawn(pebble, "ACME directory available at"),
        );
        Self {
            _dns: dns,
            _pebble: pebble,
            ports,
        }
    }

    /// The root of the certificates that it issues.
    async fn roots(&self) -> RootCertStore {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        let url = format!("https://127.0.0.1:{}/roots/0", self.ports.management);
        let pem = wait_for(async || client.get(&url).send().await.ok()).await;
        roots(&[&pem.text().await.unwrap()])
    }
}

/// Starts it, and waits for a line that it writes.
async fn spawn(mut command: Command, line: &str) -> Child {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("not installed: script/bootstrap --tests");
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = async {
        loop {
            let next = tokio::select! {
                Ok(Some(next)) = out.next_line() => next,
                Ok(Some(next)) = err.next_line() => next,
                else => panic!("it ended"),
            };
            if next.contains(line) {
                return;
            }
        }
    };
    timeout(TEST_TIMEOUT, found).await.expect("never ready");
    // Whoever writes into a closed pipe dies of it.
    tokio::spawn(async move { while let Ok(Some(_)) = out.next_line().await {} });
    tokio::spawn(async move { while let Ok(Some(_)) = err.next_line().await {} });
    child
}

const NINETY_DAYS_SECONDS: u64 = 90 * 86400;

/// A server that gets its certificates from there, at `port`.
fn config(folder: &Path, ports: Ports, port: u16) -> Config {
    let path = |name: &str| text(folder.join(name).to_str().unwrap());
    let mut config = support::config(RawConfig {
        listen: Some(format!("127.0.0.1:{port}")),
        public_origin: text("https://relay.example"),
        tls: text("acme"),
        acme_directory: Some(format!("https://127.0.0.1:{}/dir", ports.directory)),
        acme_ca_file: path("root.pem"),
        acme_cache: path("cache"),
        acme_contact: Some(vec!["ops@relay.example".to_owned()]),
        acme_agree_tos: text("true"),
        ..RawConfig::default()
    });
    config.timeouts.acme_backoff = Duration::from_millis(100);
    config
}

/// The certificate that the server shows, once it is one of the authority's.
async fn issued(server: &Server, roots: &RootCertStore) -> CertificateDer<'static> {
    wait_for(async || Some(shown(&tls(server, roots, &[]).await.ok()?))).await
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_certificate_is_issued_and_found_again_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let ([port], ports) = (free_ports(), Ports::free());
    let authority = Authority::start(folder.path(), ports, port, NINETY_DAYS_SECONDS).await;
    let roots = authority.roots().await;
    let server = Server::start(config(folder.path(), ports, port)).await;

    let first = issued(&server, &roots).await;

    let count = r#"authloop_tls_certificate_updates_total{result="shown",source="acme"}"#;
    assert_eq!(server.metric(&roots, count).await, Some(1));
    let no_order = tls(&server, &roots, &["acme-tls/1"]).await;
    assert!(no_order.is_err(), "there is nothing to answer now");
    // Not as an authority does, so there is a handshake; but nobody speaks HTTP by that protocol.
    let ended = tls(&server, &roots, &["acme-tls/1", "x"]).await.unwrap();
    assert_eq!(ended.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(get(ended, "/livez").await, "");
    let cache = folder.path().join("cache");
    assert_eq!(mode(&cache), 0o700);
    let files: Vec<_> = std::fs::read_dir(&cache).unwrap().collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    server.end().await;
    // Whatever is shown now is no new one.
    drop(authority);
    let server = Server::start(config(folder.path(), ports, port)).await;
    let again = tls(&server, &roots, &[]).await.unwrap();
    assert_eq!(shown(&again), first);
    server.end().await;
}

#[tokio::test]
async fn it_is_renewed_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let ([port], ports) = (free_ports(), Ports::free());
    let authority = Authority::start(folder.path(), ports, port, 8).await;
    let roots = authority.roots().await;
    let server = Server::start(config(folder.path(), ports, port)).await;
    let first = issued(&server, &roots).await;

    // A moment without a certificate that is valid would be an error here.
    wait_for(async || {
        let stream = tls(&server, &roots, &[]).await.unwrap();
        (shown(&stream) != first).then_some(())
    })
    .await;
    server.end().await;
}

#[tokio::test]
async fn an_account_that_the_authority_forgot_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ([port], ports) = (free_ports(), Ports::free());
    let authority = Authority::start(folder.path(), ports, port, NINETY_DAYS_SECONDS).await;
    let server = Server::start(config(folder.path(), ports, port)).await;
    issued(&server, &authority.roots().await).await;
    server.end().await;
    drop(authority);
    let cache = folder.path().join("cache");
    for file in std::fs::read_dir(&cache).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "pem") {
            std::fs::remove_file(path).unwrap();
        }
    }

    let authority = Authority::start(folder.path(), ports, port, NINETY_DAYS_SECONDS).await;
    let server = Server::start(config(folder.path(), ports, port)).await;

    issued(&server, &authority.roots().await).await;
    server.end().await;
}

/// What was logged.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_challenge_that_cannot_be_validated_is_named_and_tried_again_later() {
    let log = CapturedLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
    // For this thread, which runs everything here.
    let _logged = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());
    let folder: TempDir = tempfile::tempdir().unwrap();
    let ([port, elsewhere], ports) = (free_ports(), Ports::free());
    let authority = Authority::start(folder.path(), ports, elsewhere, NINETY_DAYS_SECONDS).await;
    let server = Server::start(config(folder.path(), ports, port)).await;

    let told = wait_for(async || {
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let failures = log
            .lines()
            .filter(|line| line.contains("no certificate was issued"));
        let failures: Vec<String> = failures.map(str::to_owned).collect();
        (failures.len() >= 2).then_some(failures)
    })
    .await;

    for failure in told {
        assert!(
            failure.contains("the authority could not validate relay.example")
                && failure.contains("Failed to connect to")
                && failure.contains("again_in_seconds"),
            "{failure}"
        );
    }
    let refused = tls(&server, &authority.roots().await, &[])
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("UnknownIssuer"),
        "{refused}: the placeholder is up"
    );
    server.end().await;
}
