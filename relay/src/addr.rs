//! A transport address, compact enough to be kept by the ten thousand.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

/// The far end of a path, IP and port, as one of the relay's own addresses reaches it.
///
/// The same endpoint over another address of the relay's is another path: ICE checks pairs of
/// addresses (RFC 8445 §6.1.2), and NATs and firewalls let pairs through. IPv4 is held in its
/// IPv4-mapped form. Flow label and scope are left out on purpose: a relay has no link-local peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathAddr {
    ip: [u8; 16],
    port: u16,
    local: LocalAddrId,
}

/// One of the relay's own addresses, by a number that the caller gave it; 0 is whichever address the
/// system takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddrId(pub u16);

impl PathAddr {
    /// Builds an address from sixteen octets in network order (IPv4 as `::ffff:a.b.c.d`).
    #[must_use]
    pub const fn from_octets(ip: [u8; 16], port: u16) -> Self {
        let local = LocalAddrId(0);
        Self { ip, port, local }
    }

    /// Builds an IPv4 address from its octets in network order.
    #[must_use]
    pub const fn from_v4([a, b, c, d]: [u8; 4], port: u16) -> Self {
        let ip = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
        Self::from_octets(ip, port)
    }

    /// The same far end, as another address of the relay's reaches it.
    #[must_use]
    pub const fn with_local(self, local: LocalAddrId) -> Self {
        Self { local, ..self }
    }

    /// The relay's own address on this path.
    #[must_use]
    pub const fn local(&self) -> LocalAddrId {
        self.local
    }

    /// The octets in network order, IPv4 mapped into IPv6.
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        self.ip
    }

    /// The last four octets: the IPv4 address, if it is one.
    #[must_use]
    pub const fn v4_octets(&self) -> [u8; 4] {
        [self.ip[12], self.ip[13], self.ip[14], self.ip[15]]
    }

    /// Whether this is an IPv4 address.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.ip[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    }

    /// The port in host order.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address as the standard library writes it, IPv4 unmapped.
    #[must_use]
    pub fn to_socket_addr(self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.ip).to_canonical(), self.port)
    }
}

impl From<SocketAddr> for PathAddr {
    fn from(addr: SocketAddr) -> Self {
        match addr.ip() {
            IpAddr::V4(ip) => Self::from_v4(ip.octets(), addr.port()),
            IpAddr::V6(ip) => Self::from_octets(ip.octets(), addr.port()),
        }
    }
}

impl Hash for PathAddr {
    /// Three fixed-width words: the derived form hashes a length prefix on every packet.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = u128::from_be_bytes(self.ip);
        state.write_u64((word >> 64) as u64);
        state.write_u64(word as u64);
        state.write_u32(u32::from(self.port) << 16 | u32::from(self.local.0));
    }
}

impl fmt::Debug for PathAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self.local {
            LocalAddrId(0) => Ok(()),
            LocalAddrId(id) => write!(f, " by {id}"),
        }
    }
}

impl fmt::Display for PathAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_socket_addr(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_socket_address_survives_the_round_trip(v4: [u8; 4], v6: [u8; 16], port: u16) {
            for ip in [IpAddr::from(v4), Ipv6Addr::from(v6).to_canonical()] {
                let addr = SocketAddr::new(ip, port);
                prop_assert_eq!(PathAddr::from(addr).to_socket_addr(), addr);
            }
        }
    }
}
