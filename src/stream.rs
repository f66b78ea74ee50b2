//! ICE-TCP and TURN on the HTTP port, for networks that let no UDP out.
//!
//! Each stream has a UDP socket of its own that is connected to the session's shard. So the shard
//! sees an ordinary path, checks it as any other, and its own loop knows nothing of streams.

mod bridge;
mod slots;
mod sniff;

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::shard::RelayHandle;
use slots::Slots;

pub(crate) use sniff::Sniff;

/// What a stream speaks that is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    /// RFC 8656 over TCP or TLS.
    Turn,
    /// RFC 6544 with RFC 4571's framing.
    IceTcp,
}

/// Carries streams to the relay.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    relay: RelayHandle,
    slots: Slots,
}

/// A stream that rests on TCP.
pub(crate) trait TcpPart {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Streams {
    pub(crate) fn new(relay: RelayHandle) -> Self {
        Self {
            relay,
            slots: Slots::default(),
        }
    }

    /// Carries the stream to its end in a task of its own, or drops it when there are too many.
    fn take<S>(&self, proto: Proto, stream: S)
    where
        S: AsyncRead + AsyncWrite + TcpPart + Send + 'static,
    {
        let Some((client, slot)) = self.admit(stream.tcp()) else {
            return;
        };
        let relay = self.relay.clone();
        tokio::spawn(async move {
            let end = bridge::run(proto, stream, client, relay).await;
            tracing::trace!(?proto, ?end, "a stream ended");
            drop(slot);
        });
    }

    fn admit(&self, tcp: &TcpStream) -> Option<(SocketAddr, slots::Slot)> {
        let client = tcp.peer_addr().ok()?;
        let slot = self.slots.take(client.ip())?;
        tcp.set_nodelay(true).ok()?;
        // What waits in the kernel cannot be dropped any more.
        let socket = socket2::SockRef::from(tcp);
        socket.set_tcp_notsent_lowat(bridge::MAX_UNSENT).ok()?;
        Some((client, slot))
    }
}

impl TcpPart for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl TcpPart for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

#[cfg(test)]
mod tests;
