//! A stream's UDP socket, which its shard sees as one more endpoint.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::UdpSocket;

use super::end::StreamEnd;
use crate::shard::{LegEndpoint, ShardClient};

/// A socket of this machine's own that is connected to a shard.
///
/// [`ShardSocket::close`] it: the system gives its port to another stream, which must not inherit
/// what this one's client has proved.
#[derive(Debug)]
pub(super) struct ShardSocket {
    udp: UdpSocket,
    shard: ShardClient,
    name: Option<SocketAddr>,
}

impl ShardSocket {
    pub(super) async fn connect(leg: &LegEndpoint) -> io::Result<Self> {
        let any: IpAddr = match leg.shard.local {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let udp = UdpSocket::bind((any, 0)).await?;
        udp.connect(leg.shard.local).await?;
        // Until the runtime has heard of it, a new socket would refuse the first datagram.
        udp.writable().await?;
        let shard = leg.shard.clone();
        Ok(Self {
            udp,
            shard,
            name: None,
        })
    }

    /// Has the shard call the client by `name`: the socket's own address means nothing outside.
    pub(super) async fn set_name(&mut self, name: SocketAddr) -> Result<(), StreamEnd> {
        if self.name != Some(name) {
            let addr = self.udp.local_addr()?;
            self.shard.name_address(addr, name).await?;
            self.name = Some(name);
        }
        Ok(())
    }

    pub(super) fn try_send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.udp.try_send(datagram)
    }

    pub(super) async fn recv(&self, datagram: &mut [u8]) -> io::Result<usize> {
        self.udp.recv(datagram).await
    }

    pub(super) fn try_recv(&self, datagram: &mut [u8]) -> io::Result<usize> {
        self.udp.try_recv(datagram)
    }

    /// Has the shard forget the address, and only then gives it back to the system.
    pub(super) async fn close(self) {
        if let Ok(addr) = self.udp.local_addr() {
            // A relay that has stopped has forgotten everything.
            let _ = self.shard.forget_address(addr).await;
        }
    }
}
