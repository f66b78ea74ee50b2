//! ICE-TCP and TURN on the HTTP port, for networks that let no UDP out.
//!
//! Each stream has a UDP socket of its own that is connected to the session's shard. So the shard
//! sees an ordinary path, checks it as any other, and its own loop knows nothing of streams.

mod bridge;
mod meter;
mod sniff;

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::StreamMetrics,
    shard::RelayHandle,
    slots::{Slot, Slots},
};
use meter::Meter;

pub(crate) use sniff::Sniff;

/// Streams at once; each costs a task and a UDP socket.
const TOTAL: usize = 2048;
/// Streams at once from one address: people behind one NAT share it.
const PER_ADDRESS: usize = 64;

/// What a stream speaks that is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    /// RFC 8656 over TCP or TLS.
    Turn,
    /// RFC 6544 with RFC 4571's framing.
    IceTcp,
}

impl Proto {
    /// Its name in metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::IceTcp => "ice_tcp",
        }
    }
}

/// Carries streams to the relay.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    relay: RelayHandle,
    slots: Slots,
    metrics: StreamMetrics,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// A stream that rests on TCP.
pub(crate) trait TcpPart {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Streams {
    pub(crate) fn new(relay: RelayHandle, metrics: StreamMetrics) -> Self {
        Self {
            relay,
            slots: Slots::new(TOTAL, PER_ADDRESS),
            metrics,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Ends every stream, and waits until all have closed.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Carries the stream to its end in a task of its own, or drops it when there are too many.
    fn take<S>(&self, proto: Proto, stream: S)
    where
        S: AsyncRead + AsyncWrite + TcpPart + Send + 'static,
    {
        let meter = Meter::start(&self.metrics, proto);
        let Some((client, slot)) = self.admit(stream.tcp()) else {
            meter.end("refused");
            return;
        };
        let relay = self.relay.clone();
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let end = bridge::run(proto, stream, client, relay, &meter, &closing).await;
            tracing::trace!(?proto, %end, "a stream ended");
            meter.end(end.label());
            drop(slot);
        });
    }

    fn count_http(&self) {
        self.metrics.accepted.with_label_values(&["http"]).inc();
    }

    fn admit(&self, tcp: &TcpStream) -> Option<(SocketAddr, Slot)> {
        let client = tcp.peer_addr().ok()?;
        let slot = self.slots.take(client.ip()).ok()?;
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

impl<S: TcpPart> TcpPart for TlsStream<S> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }
}

#[cfg(test)]
mod tests;
