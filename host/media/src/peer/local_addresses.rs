//! Which of the host's addresses lead to the relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use authloop_protocol::signal::LegIce;

use super::error::PeerError;

/// The local addresses from which the system reaches the relay's candidates; nothing is sent.
pub(super) fn local_addresses(ice: &LegIce) -> Result<Vec<SocketAddr>, PeerError> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut failure = None;
    for candidate in &ice.candidates {
        let any: IpAddr = match candidate {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = UdpSocket::bind((any, 0))
            .and_then(|socket| socket.connect(candidate).map(|()| socket))
            .and_then(|socket| socket.local_addr());
        match local {
            Ok(address) if !addresses.contains(&address.ip()) => addresses.push(address.ip()),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if addresses.is_empty() => Err(PeerError::Unroutable(error)),
        _ => Ok(addresses.into_iter().map(|ip| (ip, 0).into()).collect()),
    }
}
