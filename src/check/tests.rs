//! Each trouble is found, and its fix named.

use super::*;
use crate::{
    config::{RawConfig, ServeArgs},
    finding::FindingStatus,
};

fn config(options: RawConfig) -> Config {
    let args = ServeArgs {
        options,
        ..ServeArgs::default()
    };
    Config::load(&args, []).unwrap()
}

fn find(findings: &[Finding], status: FindingStatus, part: &str) -> bool {
    findings
        .iter()
        .any(|finding| finding.status == status && finding.text.contains(part))
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
        fine.iter()
            .all(|finding| finding.status == FindingStatus::Good),
        "{fine:?}"
    );
    let ending = with_certificate(&["relay.example"], 10);
    assert!(
        find(&ending, FindingStatus::Doubtful, "expires in"),
        "{ending:?}"
    );
    let ended = with_certificate(&["relay.example"], 1);
    assert!(find(&ended, FindingStatus::Bad, "has expired"), "{ended:?}");
    let other = with_certificate(&["other.example"], 90);
    assert!(
        find(&other, FindingStatus::Bad, "not for relay.example"),
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
    assert!(
        find(&findings, FindingStatus::Bad, "--listen"),
        "{findings:?}"
    );
    assert!(
        find(&findings, FindingStatus::Doubtful, "--relay-advertise"),
        "{findings:?}"
    );
}

#[test]
fn an_inner_address_behind_a_public_name_is_doubted() {
    for (address, origin, status) in [
        ("10.0.0.5", "https://relay.example", FindingStatus::Doubtful),
        (
            "100.64.0.1",
            "https://relay.example",
            FindingStatus::Doubtful,
        ),
        ("fd00::1", "https://relay.example", FindingStatus::Doubtful),
        ("203.0.113.7", "https://relay.example", FindingStatus::Good),
        ("10.0.0.5", "https://10.0.0.5", FindingStatus::Good),
    ] {
        let findings = check(&config(RawConfig {
            listen: Some("[::1]:0".to_owned()),
            relay_listen: Some("[::]:0".to_owned()),
            relay_advertise: Some(vec![address.to_owned()]),
            public_origin: Some(origin.to_owned()),
            ..RawConfig::default()
        }));
        assert!(
            find(&findings, status, "the relay is advertised"),
            "{address}: {findings:?}"
        );
    }
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
    assert!(
        find(&findings, FindingStatus::Bad, "--redis-url"),
        "{findings:?}"
    );
    assert!(!format!("{findings:?}").contains("hunter2"));
}

#[test]
fn networks_without_udp_are_spoken_of() {
    let proxied = RawConfig {
        public_origin: Some("https://relay.example".to_owned()),
        ..RawConfig::default()
    };
    let findings = check(&config(proxied.clone()));
    assert!(find(
        &findings,
        FindingStatus::Doubtful,
        "--streams-advertise"
    ));
    let way = "turns:relay.example:8443".to_owned();
    let advertised = RawConfig {
        streams_advertise: Some(vec![way.clone()]),
        ..proxied
    };
    assert!(find(&check(&config(advertised)), FindingStatus::Good, &way));
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
        FindingStatus::Bad,
        "--tls"
    ));
    let options = RawConfig {
        public_origin: Some("http://[::1]:7443".to_owned()),
        ..options
    };
    assert!(find(
        &check(&config(options)),
        FindingStatus::Good,
        "links will start"
    ));
}
