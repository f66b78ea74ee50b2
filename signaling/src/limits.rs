//! Rates per client address, and who the client is when proxies stand between.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
    time::Duration,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use ipnet::IpNet;

use crate::rates::Rates;

/// How many checks lie between two sweeps of addresses that are at rest.
const SWEEP_THRESHOLD: usize = 4096;

/// A client's address as far as rates care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientAddr {
    /// IPv4 whole, IPv6 by its /64.
    Ip(IpAddr),
    /// A proxy's word for its client that is not an address (RFC 7239 section 6 has `unknown` and
    /// `_hidden`), by its hash: who it names shares a rate, and not the proxy's own.
    Other(u64),
}

pub(crate) struct ClientRateLimits {
    create: DefaultKeyedRateLimiter<ClientAddr>,
    claim: DefaultKeyedRateLimiter<ClientAddr>,
    lookup: DefaultKeyedRateLimiter<ClientAddr>,
    manage: DefaultKeyedRateLimiter<ClientAddr>,
}

impl ClientRateLimits {
    pub(crate) fn new(rates: &Rates) -> Self {
        let limiter = |per_second, burst| {
            RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst))
        };
        Self {
            create: limiter(rates.create_per_second, rates.create_burst),
            claim: limiter(rates.claim_per_second, rates.claim_burst),
            lookup: limiter(rates.lookup_per_second, rates.lookup_burst),
            manage: limiter(rates.manage_per_second, rates.manage_burst),
        }
    }

    /// Takes one registration; else says how long to wait.
    pub(crate) fn create(&self, client: ClientAddr) -> Result<(), Duration> {
        check(&self.create, client)
    }

    /// Takes one claim or resume; else says how long to wait.
    pub(crate) fn claim(&self, client: ClientAddr) -> Result<(), Duration> {
        check(&self.claim, client)
    }

    /// Takes one look at a session; else says how long to wait.
    pub(crate) fn lookup(&self, client: ClientAddr) -> Result<(), Duration> {
        check(&self.lookup, client)
    }

    /// Takes one other request with a host token or an API key; else says how long to wait.
    pub(crate) fn manage(&self, client: ClientAddr) -> Result<(), Duration> {
        check(&self.manage, client)
    }
}

impl ClientAddr {
    /// The nearest address that is not a trusted proxy's.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        Self::behind(peer.to_canonical(), headers, proxies)
    }

    fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
        if !is_proxy(&peer) {
            return Self::whole(peer);
        }
        let mut nearest = peer;
        let values = headers.get_all("x-forwarded-for").iter();
        // By bytes: a proxy may pass on what its client wrote, text or not.
        let hops: Vec<&[u8]> = values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|hop| !hop.is_empty())
            .collect();
        for hop in hops.iter().rev() {
            let Some(address) = parse_hop(hop) else {
                return Self::other(hop);
            };
            nearest = address;
            if !is_proxy(&nearest) {
                break;
            }
        }
        Self::whole(nearest)
    }

    fn whole(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ip(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self::Ip(IpAddr::V6(Ipv6Addr::from(network)))
            }
        }
    }

    fn other(hop: &[u8]) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self::Other(KEY.hash_one(hop))
    }
}

/// `IP`, `IP:PORT`, `[IP]` or `[IP]:PORT`: some balancers write the port, too.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| Some(bracketed?.parse::<Ipv6Addr>().ok()?.into()));
    address.map(|address| address.to_canonical())
}

fn check(
    limiter: &DefaultKeyedRateLimiter<ClientAddr>,
    client: ClientAddr,
) -> Result<(), Duration> {
    if limiter.len() >= SWEEP_THRESHOLD {
        limiter.retain_recent();
    }
    limiter
        .check_key(&client)
        .map_err(|not_until| not_until.wait_time_from(limiter.clock().now()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn forwarded(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_proxies_is_believed_as_each_of_them() {
        let proxies = [net("10.0.0.0/8"), net("fd00::/8")];
        let behind = |peer, hops| ClientAddr::behind(ip(peer), &forwarded(hops), &proxies);
        for peer in ["10.255.0.1", "fd12::1"] {
            let client = behind(peer, "6.6.6.6, 203.0.113.7, 10.1.2.3");
            assert_eq!(client, ClientAddr::Ip(ip("203.0.113.7")), "{peer}");
        }
        for peer in ["11.0.0.1", "fe80::1"] {
            let client = behind(peer, "203.0.113.7");
            assert_eq!(client, ClientAddr::whole(ip(peer)), "{peer}");
        }
    }

    #[test]
    fn believes_only_trusted_proxies() {
        let headers = forwarded("6.6.6.6, 203.0.113.7, 10.0.0.2");
        let proxies = [net("10.0.0.1/32"), net("10.0.0.2/32")];
        let client = ClientAddr::behind(ip("10.0.0.1"), &headers, &proxies);
        assert_eq!(client, ClientAddr::Ip(ip("203.0.113.7")));
        let direct = ClientAddr::behind(ip("198.51.100.1"), &headers, &proxies);
        assert_eq!(direct, ClientAddr::Ip(ip("198.51.100.1")));
        let silent = ClientAddr::behind(ip("10.0.0.1"), &HeaderMap::new(), &proxies);
        assert_eq!(silent, ClientAddr::Ip(ip("10.0.0.1")));
    }

    #[test]
    fn a_client_that_a_proxy_names_otherwise_never_spends_the_proxys_rate() {
        let proxies = [net("10.0.0.1/32")];
        let behind = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_bytes(value).unwrap());
            ClientAddr::behind(ip("10.0.0.1"), &headers, &proxies)
        };
        let client = ClientAddr::Ip(ip("203.0.113.7"));
        for value in [
            &b"\xff, 203.0.113.7"[..],
            b"203.0.113.7:50123",
            b"::ffff:203.0.113.7",
            b"6.6.6.6,203.0.113.7:1 , 10.0.0.1:2,",
        ] {
            assert_eq!(behind(value), client, "{}", value.escape_ascii());
        }
        let client = ClientAddr::whole(ip("2001:db8::1"));
        for value in [&b"[2001:db8::2]:443"[..], b"[2001:db8::3]", b"2001:db8::4"] {
            assert_eq!(behind(value), client, "{}", value.escape_ascii());
        }
        let unreadable = [
            &b"unknown"[..],
            b"_hidden",
            b"203.0.113.7, \xff",
            b"[203.0.113.7]",
        ];
        for value in unreadable {
            let client = behind(value);
            assert!(
                matches!(client, ClientAddr::Other(_)),
                "{}",
                value.escape_ascii()
            );
            assert_eq!(client, behind(value));
        }
        assert_ne!(behind(b"unknown"), behind(b"_hidden"));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let client = |text| ClientAddr::behind(ip(text), &HeaderMap::new(), &[]);
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn one_address_does_not_spend_the_others_rate() {
        let rates = Rates {
            claim_burst: 2.try_into().unwrap(),
            ..Rates::default()
        };
        let limits = ClientRateLimits::new(&rates);
        let (one, other) = (
            ClientAddr::Ip(ip("192.0.2.1")),
            ClientAddr::Ip(ip("192.0.2.2")),
        );
        assert!(limits.claim(one).is_ok());
        assert!(limits.claim(one).is_ok());
        assert!(limits.claim(one).unwrap_err() > Duration::ZERO);
        assert!(limits.claim(other).is_ok());
        assert!(limits.create(one).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(value in "[ -~]*") {
            let peer = ip("10.0.0.1");
            let _ = ClientAddr::behind(peer, &forwarded(&value), &[peer.into()]);
        }
    }
}
