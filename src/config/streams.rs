//! Where clients are told to go with ICE-TCP and TURN when their network blocks UDP.

use std::net::{IpAddr, SocketAddr};

use authloop_protocol::signal::{MAX_CANDIDATES, MAX_TURN_URLS, is_turn_url};
use authloop_signaling::origin::Origin;

use super::{Config, ConfigError, TlsMode, parse::invalid};

const KEY: &str = "streams_advertise";

/// ICE-TCP and TURN at the HTTP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamSettings {
    /// Not accepted.
    Off,
    /// Accepted, and advertised where the other options suggest that they arrive.
    Inferred,
    /// Accepted, and advertised at these endpoints.
    Advertised(StreamEndpoints),
}

/// Where clients are told to reach the HTTP port with ICE-TCP and TURN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEndpoints {
    /// Passive ICE-TCP candidates.
    pub tcp: Vec<SocketAddr>,
    /// TURN URLs.
    pub turn: Vec<String>,
}

impl StreamEndpoints {
    /// Whether there is no endpoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.turn.is_empty()
    }
}

impl std::fmt::Display for StreamEndpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tcp = self.tcp.iter().map(|address| format!("tcp:{address}"));
        let all: Vec<String> = tcp.chain(self.turn.iter().cloned()).collect();
        f.write_str(&all.join(", "))
    }
}

pub(super) fn parse(
    enabled: bool,
    given: Option<Vec<String>>,
) -> Result<StreamSettings, ConfigError> {
    let Some(texts) = given else {
        return Ok(if enabled {
            StreamSettings::Inferred
        } else {
            StreamSettings::Off
        });
    };
    if !enabled {
        return Err(invalid(KEY, "makes no sense with `streams` off"));
    }
    let mut endpoints = StreamEndpoints::default();
    for text in &texts {
        if !push(&mut endpoints, text) {
            return Err(invalid(
                KEY,
                format!(
                    "must be a list of ways like tcp:203.0.113.7:443, turn:relay.example:80 or \
                     turns:relay.example:443, but `{text}` is not one"
                ),
            ));
        }
    }
    if endpoints.is_empty()
        || endpoints.tcp.len() > MAX_CANDIDATES
        || endpoints.turn.len() > MAX_TURN_URLS
    {
        let reason = format!(
            "must name at least one way, at most {MAX_CANDIDATES} of `tcp:`, and at most {MAX_TURN_URLS} of \
             `turn:` and `turns:` together"
        );
        return Err(invalid(KEY, reason));
    }
    Ok(StreamSettings::Advertised(endpoints))
}

/// Adds the endpoint that `text` names; returns `false` if it does not name one.
fn push(endpoints: &mut StreamEndpoints, text: &str) -> bool {
    let Some(address) = text.strip_prefix("tcp:") else {
        let url = format!("{text}?transport=tcp");
        let good = is_turn_url(&url);
        endpoints.turn.extend(Some(url).filter(|_| good));
        return good;
    };
    let address = address.parse().ok();
    let address = address.filter(|at: &SocketAddr| !at.ip().is_unspecified() && at.port() != 0);
    endpoints.tcp.extend(address);
    address.is_some()
}

impl Config {
    /// Where clients are told to reach the HTTP port, once it listens at `bound`.
    #[must_use]
    pub fn stream_endpoints(&self, bound: SocketAddr) -> StreamEndpoints {
        match &self.streams {
            StreamSettings::Advertised(endpoints) => endpoints.clone(),
            StreamSettings::Inferred if !self.is_behind_http_proxy() => {
                self.inferred_endpoints(bound)
            }
            StreamSettings::Off | StreamSettings::Inferred => StreamEndpoints::default(),
        }
    }

    /// Whether a proxy in front lets nothing but HTTP through.
    fn is_behind_http_proxy(&self) -> bool {
        let ends_tls = |origin: &Origin| origin.is_secure() != (self.tls != TlsMode::Off);
        !self.trusted_proxies.is_empty() || self.public_origin.as_ref().is_some_and(ends_tls)
    }

    /// Where the relay is reached, whatever its ports: the HTTP port has one of its own.
    fn relay_ips(&self) -> Vec<IpAddr> {
        let mut ips = Vec::new();
        for address in &self.relay_advertise {
            if !ips.contains(&address.ip) {
                ips.push(address.ip);
            }
        }
        ips
    }

    fn inferred_endpoints(&self, bound: SocketAddr) -> StreamEndpoints {
        let Ok(origin) = self.origin_at(bound).parse::<Origin>() else {
            return StreamEndpoints::default();
        };
        let (host, port) = (origin.host(), origin.port());
        let named = self.public_origin.as_ref().and_then(|_| literal(host));
        let ips = match named {
            Some(ip) => vec![ip],
            None if bound.ip().is_unspecified() => self.relay_ips(),
            None => vec![bound.ip()],
        };
        let reachable = |ip: &IpAddr| bound.is_ipv6() || ip.is_ipv4();
        let ips = ips.into_iter().filter(reachable).take(MAX_CANDIDATES);
        let scheme = if origin.is_secure() { "turns" } else { "turn" };
        let url = format!("{scheme}:{host}:{port}?transport=tcp");
        StreamEndpoints {
            tcp: ips.map(|ip| SocketAddr::new(ip, port)).collect(),
            turn: vec![url],
        }
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RawConfig, ServeArgs};

    fn config(options: RawConfig) -> Result<Config, String> {
        let args = ServeArgs {
            options,
            ..ServeArgs::default()
        };
        Config::load(&args, []).map_err(|error| error.to_string())
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    fn list(values: &[&str]) -> Option<Vec<String>> {
        Some(values.iter().map(|&value| value.to_owned()).collect())
    }

    fn ways(options: RawConfig, bound: &str) -> String {
        let config = config(options).unwrap();
        config.stream_endpoints(bound.parse().unwrap()).to_string()
    }

    #[test]
    fn the_likely_ways_follow_origin_and_address() {
        let public = RawConfig {
            tls: text("self-signed"),
            open_registration: text("true"),
            listen: text("0.0.0.0:443"),
            relay_advertise: list(&["203.0.113.7"]),
            ..RawConfig::default()
        };
        let named = |origin| RawConfig {
            public_origin: text(origin),
            ..public.clone()
        };
        for (options, bound, expected) in [
            (
                RawConfig::default(),
                "127.0.0.1:7443",
                "tcp:127.0.0.1:7443, turn:127.0.0.1:7443?transport=tcp",
            ),
            (
                public.clone(),
                "0.0.0.0:443",
                "tcp:203.0.113.7:443, turns:203.0.113.7:443?transport=tcp",
            ),
            (
                named("https://relay.example"),
                "0.0.0.0:8443",
                "tcp:203.0.113.7:443, turns:relay.example:443?transport=tcp",
            ),
            (
                named("https://[2001:db8::1]:444"),
                "[::]:443",
                "tcp:[2001:db8::1]:444, turns:[2001:db8::1]:444?transport=tcp",
            ),
        ] {
            assert_eq!(ways(options, bound), expected);
        }
    }

    #[test]
    fn behind_an_http_proxy_only_what_was_given_is_advertised() {
        let by_scheme = RawConfig {
            public_origin: text("https://relay.example"),
            ..RawConfig::default()
        };
        let by_trust = RawConfig {
            trusted_proxies: list(&["127.0.0.1"]),
            ..RawConfig::default()
        };
        for proxied in [by_scheme, by_trust] {
            assert_eq!(ways(proxied.clone(), "127.0.0.1:7443"), "");
            let given = RawConfig {
                streams_advertise: list(&["tcp:203.0.113.7:444", "turns:relay.example:444"]),
                ..proxied
            };
            assert_eq!(
                ways(given, "127.0.0.1:7443"),
                "tcp:203.0.113.7:444, turns:relay.example:444?transport=tcp"
            );
        }
    }

    #[test]
    fn off_is_off() {
        let off = RawConfig {
            streams: text("false"),
            ..RawConfig::default()
        };
        assert_eq!(ways(off.clone(), "127.0.0.1:7443"), "");
        let contrary = RawConfig {
            streams_advertise: list(&["turn:relay.example:80"]),
            ..off
        };
        assert!(config(contrary).unwrap_err().contains("`streams` off"));
    }

    #[test]
    fn what_is_no_way_is_named() {
        for bad in [
            "relay.example:443",
            "tcp:relay.example:443",
            "tcp:0.0.0.0:443",
            "tcp:203.0.113.7:0",
            "turn:relay.example",
            "stun:relay.example:3478",
            "turns:relay.example:443?transport=tcp",
        ] {
            let options = RawConfig {
                streams_advertise: list(&[bad]),
                ..RawConfig::default()
            };
            let error = config(options).unwrap_err();
            assert!(error.starts_with("`streams_advertise` must"), "{error}");
            assert!(error.contains(bad), "{error}");
        }
    }
}
