//! What an endpoint is told of the relay's leg, and the check that none of it can inject anything.

use std::net::{Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The most addresses of one transport.
pub const MAX_CANDIDATES: usize = 8;
/// The most TURN URLs of one service.
pub const MAX_TURN_URLS: usize = 4;
/// The longest TURN URL: a DNS name's 253 characters and what stands around it.
const MAX_URL_BYTES: usize = 300;

/// The relay's ICE parameters for one leg (RFC 8445, RFC 8839).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegIce {
    /// Rises with every new set of credentials of this leg.
    pub generation: u32,
    /// The relay's username fragment.
    pub ufrag: String,
    /// The relay's password.
    pub pwd: String,
    /// The relay's UDP addresses, literal `ip:port`.
    pub candidates: Vec<SocketAddr>,
    /// The relay's passive ICE-TCP addresses (RFC 6544), literal `ip:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<SocketAddr>,
    /// A TURN server that reaches this leg over TCP or TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnService>,
}

/// A TURN server on a stream (RFC 8656), as a browser's `iceServers` takes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnService {
    /// `turn:HOST:PORT?transport=tcp` or `turns:HOST:PORT?transport=tcp` (RFC 7065).
    pub urls: Vec<String>,
    /// The user name, ice-chars.
    pub username: String,
    /// The password, ice-chars.
    pub credential: String,
}

/// Leaves the credentials out.
impl std::fmt::Debug for LegIce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegIce(generation {})", self.generation)
    }
}

/// Leaves the credentials out.
impl std::fmt::Debug for TurnService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TurnService({} URLs)", self.urls.len())
    }
}

impl LegIce {
    /// Whether both credentials are made of ice-chars and of a legal length, there is a candidate
    /// but not too many, and a TURN service is one, so that nothing can inject a line into SDP
    /// (RFC 8839 section 5.4) or send an endpoint elsewhere than to a TURN server.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let usable = |addresses: &[SocketAddr]| {
            addresses.len() <= MAX_CANDIDATES && addresses.iter().all(|at| at.port() != 0)
        };
        is_ice_string(&self.ufrag, 4)
            && is_ice_string(&self.pwd, 22)
            && !self.candidates.is_empty()
            && usable(&self.candidates)
            && usable(&self.tcp)
            && self.turn.as_ref().is_none_or(TurnService::is_well_formed)
    }
}

impl TurnService {
    fn is_well_formed(&self) -> bool {
        (1..=MAX_TURN_URLS).contains(&self.urls.len())
            && self.urls.iter().all(|url| is_turn_url(url))
            && is_ice_string(&self.username, 1)
            && is_ice_string(&self.credential, 1)
    }
}

/// Whether `text` is `min`..=256 ice-chars (RFC 8839 section 5.4).
#[must_use]
pub fn is_ice_string(text: &str, min: usize) -> bool {
    (min..=256).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Whether `url` is `turn:HOST:PORT?transport=tcp` or the same of `turns:`: RFC 7065, narrowed to
/// streams with a port.
#[must_use]
pub fn is_turn_url(url: &str) -> bool {
    let authority = ["turn:", "turns:"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .and_then(|rest| rest.strip_suffix("?transport=tcp"));
    let Some((host, port)) = authority.and_then(|authority| authority.rsplit_once(':')) else {
        return false;
    };
    url.len() <= MAX_URL_BYTES && is_host(host) && is_port(port)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        // A DNS name or an IPv4 address: which one, the resolver tells.
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        }
    }
}

fn is_port(port: &str) -> bool {
    port.len() <= 5
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}
