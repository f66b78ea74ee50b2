//! Which names of itself the server answers to. Pure.
//!
//! A web page can have its own name lead to this server (DNS rebinding), and is then of the same
//! origin as all that the server answers; but it cannot choose another name for the request.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{header::HOST, uri::Authority},
};

use crate::origin::Origin;

/// The names that the server has, beside literal addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownHosts(Vec<String>);

impl KnownHosts {
    pub(crate) fn new(origins: &[&Origin], names: &[String]) -> Self {
        let origins = origins.iter().map(|origin| origin.host());
        let names = names.iter().map(String::as_str);
        Self(origins.chain(names).map(normalised).collect())
    }

    /// Whether a request for this host, with or without a port, is for this server.
    fn admit(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        // Neither a user before the host nor anything but a port behind it.
        let port = host.strip_prefix(authority.host());
        if !port.is_some_and(|port| port.is_empty() || port.starts_with(':')) {
            return false;
        }
        let host = normalised(authority.host());
        let v6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        host.parse::<Ipv4Addr>().is_ok()
            || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
            // RFC 6761 section 6.3.
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.contains(&host)
    }

    /// HTTP/2 and requests in absolute form name the host in the URI (RFC 9113 section 8.3.1, RFC 9112
    /// section 3.2.2). A request without any name is no browser's.
    pub(crate) fn admit_request(&self, request: &Request) -> bool {
        let header = request.headers().get_all(HOST).iter();
        let header = header.map(|host| host.to_str().ok());
        let uri = request.uri().authority().map(Authority::as_str);
        header
            .chain(uri.map(Some))
            .all(|host| host.is_some_and(|host| self.admit(host)))
    }
}

/// In lower case, without the dot of the root.
fn normalised(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_names_are_admitted() {
        let public: Origin = "https://relay.example:8443".parse().unwrap();
        let hosts = KnownHosts::new(&[&public], &["Relay.Internal".to_owned()]);
        for host in [
            "relay.example",
            "RELAY.example.:8443",
            "relay.example:1",
            "relay.internal",
            "127.0.0.1:7443",
            "[::1]:7443",
            "localhost",
            "a.localhost:80",
        ] {
            assert!(hosts.admit(host), "{host}");
        }
        for host in [
            "evil.example",
            "relay.example.evil.example",
            "sub.relay.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "relay.example@evil.example",
            "[::1].evil.example",
            "",
            "a b",
        ] {
            assert!(!hosts.admit(host), "{host}");
        }
    }

    #[test]
    fn every_name_of_a_request_has_to_be_known() {
        let hosts = KnownHosts::new(&[], &["relay.example".to_owned()]);
        let admits = |uri: &str, names: &[&str]| {
            let request = names
                .iter()
                .fold(Request::builder().uri(uri), |request, name| {
                    request.header(HOST, *name)
                });
            hosts.admit_request(&request.body(axum::body::Body::empty()).unwrap())
        };
        assert!(admits("/", &["relay.example"]));
        assert!(admits("https://relay.example/", &[]));
        assert!(admits("/", &[]));
        assert!(!admits("/", &["evil.example"]));
        assert!(!admits("https://evil.example/", &["relay.example"]));
        assert!(!admits("https://relay.example/", &["evil.example"]));
        assert!(!admits("/", &["relay.example", "evil.example"]));
    }
}
