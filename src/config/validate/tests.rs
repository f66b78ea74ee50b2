//! What is refused, and that each refusal names its key.

use proptest::prelude::*;

use super::*;

fn error(raw: RawConfig) -> String {
    validate(raw, false).unwrap_err().to_string()
}

#[test]
fn the_defaults_serve_this_machine_only() {
    let config = validate(RawConfig::default(), false).unwrap();
    assert_eq!(config.listen, DEFAULT_LISTEN);
    assert!(
        config
            .relay_advertise
            .contains(&IpAddr::V4(Ipv4Addr::LOCALHOST).into())
    );
    assert_eq!(config.origin_at(config.listen), "http://127.0.0.1:7443");
}

#[test]
fn listening_beyond_loopback_needs_keys_or_a_word() {
    let mut raw = RawConfig {
        listen: Some("0.0.0.0:7443".to_owned()),
        ..RawConfig::default()
    };
    assert!(error(raw.clone()).contains("--api-keys-file"));
    raw.open_registration = Some("true".to_owned());
    assert!(validate(raw, false).is_ok());
}

#[test]
fn proxies_are_addresses_and_networks() {
    let with = |list: &[&str]| RawConfig {
        trusted_proxies: Some(list.iter().map(|&text| text.to_owned()).collect()),
        ..RawConfig::default()
    };
    let given = ["10.0.0.1", "::ffff:10.0.0.2", "10.1.0.0/16", "fd00::/8"];
    let config = validate(with(&given), false).unwrap();
    let nets: Vec<String> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        nets,
        ["10.0.0.1/32", "10.0.0.2/32", "10.1.0.0/16", "fd00::/8"]
    );
    for (bad, said) in [
        ("10.0.0.1/8", "network is 10.0.0.0/8"),
        ("10.0.0.0/33", "is none"),
        ("proxy.example", "is none"),
        ("0.0.0.0/0", "everyone"),
        ("::/0", "everyone"),
    ] {
        let error = error(with(&[bad]));
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn every_refusal_names_its_key() {
    let text = |value: &str| Some(value.to_owned());
    let list = |value: &str| Some(vec![value.to_owned()]);
    for (key, raw) in [
        (
            "listen",
            RawConfig {
                listen: text("localhost"),
                ..RawConfig::default()
            },
        ),
        (
            "admin_listen",
            RawConfig {
                admin_listen: text("7444"),
                ..RawConfig::default()
            },
        ),
        (
            "admin_listen",
            RawConfig {
                admin_listen: text("127.0.0.1:7443"),
                ..RawConfig::default()
            },
        ),
        (
            "relay_listen",
            RawConfig {
                relay_listen: text("3478"),
                ..RawConfig::default()
            },
        ),
        (
            "relay_advertise",
            RawConfig {
                relay_advertise: list("0.0.0.0"),
                ..RawConfig::default()
            },
        ),
        (
            "relay_advertise",
            RawConfig {
                relay_advertise: list("::1"),
                ..RawConfig::default()
            },
        ),
        (
            "relay_shards",
            RawConfig {
                relay_shards: text("0"),
                ..RawConfig::default()
            },
        ),
        (
            "max_streams",
            RawConfig {
                max_streams: text("0"),
                ..RawConfig::default()
            },
        ),
        (
            "max_streams_per_address",
            RawConfig {
                max_streams_per_address: text("many"),
                ..RawConfig::default()
            },
        ),
        (
            "streams",
            RawConfig {
                streams: text("maybe"),
                ..RawConfig::default()
            },
        ),
        (
            "streams_advertise",
            RawConfig {
                streams_advertise: list("relay.example"),
                ..RawConfig::default()
            },
        ),
        (
            "public_origin",
            RawConfig {
                public_origin: text("relay"),
                ..RawConfig::default()
            },
        ),
        (
            "viewer_origins",
            RawConfig {
                viewer_origins: list("*"),
                ..RawConfig::default()
            },
        ),
        (
            "allowed_hosts",
            RawConfig {
                allowed_hosts: list("relay.internal,https://relay.internal"),
                ..RawConfig::default()
            },
        ),
        (
            "allowed_hosts",
            RawConfig {
                allowed_hosts: list("relay.internal:7443"),
                ..RawConfig::default()
            },
        ),
        (
            "embed_origins",
            RawConfig {
                embed_origins: list("*"),
                ..RawConfig::default()
            },
        ),
        (
            "embed_origins",
            RawConfig {
                embed_origins: list("http://app.example"),
                ..RawConfig::default()
            },
        ),
        (
            "brand_name",
            RawConfig {
                brand_name: text("two\nlines"),
                ..RawConfig::default()
            },
        ),
        (
            "brand_logo",
            RawConfig {
                brand_logo: text("/nonexistent.svg"),
                ..RawConfig::default()
            },
        ),
        (
            "brand_logo",
            RawConfig {
                brand_logo: text("/proc/self/cmdline"),
                ..RawConfig::default()
            },
        ),
        (
            "brand_accent",
            RawConfig {
                brand_accent: text("#ffcc00"),
                ..RawConfig::default()
            },
        ),
        (
            "api_keys",
            RawConfig {
                api_keys: list("short"),
                ..RawConfig::default()
            },
        ),
        (
            "api_keys_file",
            RawConfig {
                api_keys_file: text("/nonexistent"),
                ..RawConfig::default()
            },
        ),
        (
            "trusted_proxies",
            RawConfig {
                trusted_proxies: list("proxy"),
                ..RawConfig::default()
            },
        ),
        (
            "tls",
            RawConfig {
                tls: text("on"),
                ..RawConfig::default()
            },
        ),
        (
            "tls",
            RawConfig {
                tls: text("files"),
                ..RawConfig::default()
            },
        ),
        (
            "max_connections",
            RawConfig {
                max_connections: text("0"),
                ..RawConfig::default()
            },
        ),
        (
            "max_connections_per_address",
            RawConfig {
                max_connections_per_address: text("some"),
                ..RawConfig::default()
            },
        ),
        (
            "otlp_endpoint",
            RawConfig {
                otlp_endpoint: text("http://user:secret@collector:4318"),
                ..RawConfig::default()
            },
        ),
        (
            "max_sockets",
            RawConfig {
                max_sockets: text("0"),
                ..RawConfig::default()
            },
        ),
        (
            "max_sessions",
            RawConfig {
                max_sessions: text("many"),
                ..RawConfig::default()
            },
        ),
        (
            "remember_ended",
            RawConfig {
                remember_ended: text("15m"),
                ..RawConfig::default()
            },
        ),
        (
            "audit_log",
            RawConfig {
                audit_log: text("/nonexistent/audit.jsonl"),
                ..RawConfig::default()
            },
        ),
        (
            "audit_retain",
            RawConfig {
                audit_retain: text("30"),
                ..RawConfig::default()
            },
        ),
        (
            "audit_retain",
            RawConfig {
                audit_log: text("/tmp"),
                audit_retain: text("0"),
                ..RawConfig::default()
            },
        ),
        (
            "redis_url",
            RawConfig {
                redis_url: text("http://127.0.0.1"),
                ..RawConfig::default()
            },
        ),
        (
            "redis_url_file",
            RawConfig {
                redis_url_file: text("/nonexistent"),
                ..RawConfig::default()
            },
        ),
        (
            "redis_prefix",
            RawConfig {
                redis_prefix: text("other"),
                ..RawConfig::default()
            },
        ),
        (
            "redis_prefix",
            RawConfig {
                redis_url: text("redis://127.0.0.1"),
                redis_prefix: text("two words"),
                ..RawConfig::default()
            },
        ),
        (
            "viewer_dir",
            RawConfig {
                viewer_dir: text("/nonexistent"),
                ..RawConfig::default()
            },
        ),
        (
            "log",
            RawConfig {
                log: text("a=b=c"),
                ..RawConfig::default()
            },
        ),
        (
            "log_format",
            RawConfig {
                log_format: text("xml"),
                ..RawConfig::default()
            },
        ),
    ] {
        let error = error(raw);
        assert!(error.starts_with(&format!("`{key}` ")), "{key}: {error}");
    }
}

proptest! {
    #[test]
    fn never_panics(listen in ".*", origin in ".*", log in ".*", tls in ".*") {
        let raw = RawConfig {
            listen: Some(listen),
            public_origin: Some(origin),
            log: Some(log),
            tls: Some(tls),
            ..RawConfig::default()
        };
        let _ = validate(raw, false);
    }
}
