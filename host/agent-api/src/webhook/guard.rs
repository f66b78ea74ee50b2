//! Keeps webhooks from reaching what only this machine should reach (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Why a webhook's host is not spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RefusedHost {
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// One of its addresses is not a public one.
    #[error("the name leads to a private address")]
    Private,
}

/// The addresses of a URL's host, all of them public unless the operator allows the host.
pub(super) async fn resolve(url: &Url, allowed: bool) -> Result<Vec<SocketAddr>, RefusedHost> {
    let port = url.port_or_known_default().ok_or(RefusedHost::Unresolved)?;
    let addresses: Vec<SocketAddr> = match (literal(url), url.host()) {
        (Some(address), _) => vec![SocketAddr::new(address, port)],
        (None, Some(Host::Domain(name))) => tokio::net::lookup_host((name, port))
            .await
            .map_err(|_| RefusedHost::Unresolved)?
            .collect(),
        (None, _) => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(RefusedHost::Unresolved);
    }
    // One private address among public ones is an attempt, not a mistake to work around.
    if !allowed && !addresses.iter().all(|address| is_public(address.ip())) {
        return Err(RefusedHost::Private);
    }
    Ok(addresses)
}

/// The address that a URL names without a resolver.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether an address is on the public internet (IANA special-purpose registries, RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..] // shared, RFC 6598
            | [169, 254, ..] // link-local, RFC 3927; the clouds' metadata
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _] // 6to4 relays, RFC 7526
            | [198, 18 | 19, ..] // benchmarks, RFC 2544
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..] // multicast and reserved
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4-mapped, and NAT64 (RFC 6052): what it leads to counts.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false, // RFC 2928, RFC 3849
        [0x3fff, second, ..] if second < 0x1000 => false,                   // RFC 9637
        // Only 2000::/3 is global unicast; all the rest is local or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public_in_any_form() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn names_and_numbers_that_lead_home_are_refused() {
        for url in [
            "https://localhost/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::1]/",
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(
                resolve(&url, false).await,
                Err(RefusedHost::Private),
                "{url}"
            );
            assert!(resolve(&url, true).await.is_ok(), "{url}");
        }
    }
}
