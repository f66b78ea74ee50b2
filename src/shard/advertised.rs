//! Where the world reaches the relay.

use std::{
    fmt,
    net::{AddrParseError, IpAddr, SocketAddr},
    str::FromStr,
};

/// An address of the relay's as endpoints know it; a translator in front may have given the port
/// another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvertisedAddress {
    /// The address.
    pub ip: IpAddr,
    /// The first shard's port, where it is not the one that the relay listens at; shard `n` has
    /// port + n.
    pub port: Option<u16>,
}

impl AdvertisedAddress {
    /// Where shard `shard`, which listens at port `bound`, is reached; `None` beyond port 65535.
    #[must_use]
    pub fn candidate(&self, shard: usize, bound: u16) -> Option<SocketAddr> {
        let port = match self.port {
            None => Some(bound),
            Some(first) => u16::try_from(shard).ok().and_then(|n| first.checked_add(n)),
        };
        port.map(|port| SocketAddr::new(self.ip, port))
    }
}

impl From<IpAddr> for AdvertisedAddress {
    fn from(ip: IpAddr) -> Self {
        Self { ip, port: None }
    }
}

impl FromStr for AdvertisedAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                ip: address.ip(),
                port: Some(address.port()),
            });
        }
        text.parse::<IpAddr>().map(Self::from)
    }
}

impl fmt::Display for AdvertisedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.ip.fmt(f),
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_port_in_text() {
        for text in [
            "192.0.2.1",
            "192.0.2.1:50000",
            "2001:db8::1",
            "[2001:db8::1]:50000",
        ] {
            let address: AdvertisedAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "relay.example",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "[2001:db8::1]",
        ] {
            assert!(text.parse::<AdvertisedAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_shard_has_a_port_of_its_own_inside_and_outside() {
        let same: AdvertisedAddress = "192.0.2.1".parse().unwrap();
        let other: AdvertisedAddress = "192.0.2.1:65534".parse().unwrap();

        let ports = |address: AdvertisedAddress| {
            [0, 1, 2].map(|n| Some(address.candidate(n, 3478 + n as u16)?.port()))
        };

        assert_eq!(ports(same), [Some(3478), Some(3479), Some(3480)]);
        assert_eq!(ports(other), [Some(65534), Some(65535), None]);
    }
}
