//! Where endpoints are told to reach the relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use authloop_protocol::signal::MAX_CANDIDATES;

use super::{ConfigError, parse::invalid};
use crate::shard::AdvertisedAddress;

const KEY: &str = "relay_advertise";

/// The addresses that endpoints are told, best first.
pub(super) fn advertised(
    given: Option<Vec<String>>,
    listen: SocketAddr,
    shards: usize,
) -> Result<Vec<AdvertisedAddress>, ConfigError> {
    if let Some(texts) = given {
        let given = addresses(&texts)?;
        if given.is_empty() {
            return Err(invalid(KEY, "must name at least one address"));
        }
        if given.len() > MAX_CANDIDATES {
            let count = given.len();
            return Err(invalid(
                KEY,
                format!(
                    "must name at most {MAX_CANDIDATES} addresses, not {count}: no endpoint takes more"
                ),
            ));
        }
        let mut ips = given.iter().map(|address| address.ip);
        if let Some(ip) = ips.find(|ip| !is_one_machines(ip)) {
            return Err(invalid(
                KEY,
                format!(
                    "must be addresses at which others can reach this machine; {ip} is not one"
                ),
            ));
        }
        let ends_beyond = |address: &&AdvertisedAddress| {
            address.port == Some(0) || address.candidate(shards - 1, 0).is_none()
        };
        if let Some(address) = given.iter().find(ends_beyond) {
            return Err(invalid(
                KEY,
                format!(
                    "has {address}, from which there are not {shards} ports on, one for each shard"
                ),
            ));
        }
        if listen.is_ipv4() && given.iter().any(|address| address.ip.is_ipv6()) {
            return Err(invalid(
                KEY,
                "has an IPv6 address, but `relay_listen` is IPv4 only",
            ));
        }
        return Ok(given);
    }
    if !listen.ip().is_unspecified() {
        return Ok(vec![listen.ip().into()]);
    }
    let loopback = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let own = primary_address(listen.ip()).into_iter().chain([loopback]);
    Ok(own.map(AdvertisedAddress::from).collect())
}

/// The address this machine would use towards the world. Connecting a UDP socket sends nothing;
/// the targets are documentation addresses (RFC 5737, RFC 3849).
fn primary_address(family: IpAddr) -> Option<IpAddr> {
    let target: (IpAddr, u16) = match family {
        IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), 9),
        IpAddr::V6(_) => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), 9),
    };
    let socket = UdpSocket::bind((family, 0)).ok()?;
    socket.connect(target).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

fn is_one_machines(ip: &IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}

fn addresses(texts: &[String]) -> Result<Vec<AdvertisedAddress>, ConfigError> {
    let expected =
        "must be IP addresses, with a port or without, as in 203.0.113.7 or [2001:db8::1]:50000";
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|_| invalid(KEY, format!("{expected}; `{text}` is none")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertise(texts: &[&str]) -> Result<Vec<AdvertisedAddress>, String> {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let listen = "[::]:3478".parse().unwrap();
        advertised(Some(texts), listen, 2).map_err(|error| error.to_string())
    }

    #[test]
    fn as_many_addresses_are_advertised_as_endpoints_take() {
        let nine = ["192.0.2.1"; 9];

        assert_eq!(advertise(&nine[..8]).unwrap().len(), 8);
        assert!(
            advertise(&nine)
                .unwrap_err()
                .contains("at most 8 addresses, not 9")
        );
        assert!(advertise(&[]).is_err());
    }

    #[test]
    fn an_address_may_have_a_port_with_room_for_each_shard() {
        let given = ["192.0.2.1:65534", "[2001:db8::1]:50000", "2001:db8::1"];

        let texts: Vec<String> = advertise(&given)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();

        assert_eq!(texts, given);
        for bad in ["192.0.2.1:65535", "192.0.2.1:0", "relay.example:50000"] {
            assert!(advertise(&[bad]).unwrap_err().contains(bad));
        }
    }

    #[test]
    fn what_is_not_one_machines_address_is_not_advertised() {
        for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            let error = advertise(&["192.0.2.1", ip]).unwrap_err();
            assert!(error.contains(&format!("{ip} is not one")), "{error}");
        }
    }
}
