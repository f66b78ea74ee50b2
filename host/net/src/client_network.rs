//! The networks that one client may have to itself. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv6Addr};

/// A site's addresses in IPv6 (RFC 6177): whoever has one network of 64 bits often has them all.
const SITE_BITS: u8 = 48;
/// A customer's link in IPv6 (RFC 4291 section 2.5.1).
const LINK_BITS: u8 = 64;
/// A site may have this many times what one address may have: a mobile operator's customers share one.
const SITE_SHARES: usize = 4;

/// A network that counts as one client, or as a few: an IPv4 address, or an IPv6 /64 or /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientNetwork {
    first: IpAddr,
    bits: u8,
}

impl ClientNetwork {
    /// The networks in which an address counts, each with how many shares of a limit for one address
    /// it may have; the smallest first.
    pub fn all_of(address: IpAddr) -> impl Iterator<Item = (Self, usize)> {
        let (link, site) = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let bits = 32;
                let first = v4.into();
                (Self { first, bits }, None)
            }
            IpAddr::V6(v6) => (v6_network(v6, LINK_BITS), Some(v6_network(v6, SITE_BITS))),
        };
        std::iter::once((link, 1)).chain(site.map(|site| (site, SITE_SHARES)))
    }
}

fn v6_network(address: Ipv6Addr, bits: u8) -> ClientNetwork {
    let mask = u128::MAX << (128 - u32::from(bits));
    ClientNetwork {
        first: Ipv6Addr::from_bits(address.to_bits() & mask).into(),
        bits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(address: &str) -> Vec<(ClientNetwork, usize)> {
        ClientNetwork::all_of(address.parse().unwrap()).collect()
    }

    #[test]
    fn an_ipv6_address_counts_in_its_link_and_its_site() {
        let here = all_of("2001:db8:0:1::1");
        let link = all_of("2001:db8:0:1:ffff::2");
        let site = all_of("2001:db8:0:2::1");
        let other = all_of("2001:db8:1:1::1");

        assert_eq!((here.len(), here[0].1, here[1].1), (2, 1, SITE_SHARES));
        assert_eq!(here, link);
        assert!(here[0] != site[0] && here[1] == site[1]);
        assert!(here[1] != other[1]);
    }

    #[test]
    fn an_ipv4_address_counts_for_itself_however_it_is_written() {
        assert_eq!(all_of("192.0.2.1"), all_of("::ffff:192.0.2.1"));
        assert_eq!(all_of("192.0.2.1").len(), 1);
        assert_ne!(all_of("192.0.2.1"), all_of("192.0.2.2"));
    }
}
