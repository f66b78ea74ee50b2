//! ICE-TCP and TURN on the HTTP port, for networks that let no UDP out.
//!
//! Each stream has a UDP socket of its own that is connected to the session's shard. So the shard
//! sees an ordinary path, checks it as any other, and its own loop knows nothing of streams.

mod admission;
mod bridge;
pub(crate) mod detector;
mod end;
mod meter;
mod protocol;
mod shard_socket;
pub(crate) mod underlying_tcp;

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{client_limiter::ClientLimiter, metrics::StreamMetrics, shard::RelayHandle};
use admission::{StreamAdmission, StreamPlace, UnprovenLimits};
use meter::StreamMeter;
use protocol::StreamProtocol;
use underlying_tcp::UnderlyingTcp;

/// Carries streams to the relay.
#[derive(Clone, Debug)]
pub(crate) struct TcpFallback {
    relay: RelayHandle,
    admission: StreamAdmission,
    metrics: StreamMetrics,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl TcpFallback {
    /// `proven` admits streams whose clients have shown that they know a leg's password.
    pub(crate) fn new(relay: RelayHandle, proven: ClientLimiter, metrics: StreamMetrics) -> Self {
        Self::with_limits(relay, proven, metrics, UnprovenLimits::default())
    }

    fn with_limits(
        relay: RelayHandle,
        proven: ClientLimiter,
        metrics: StreamMetrics,
        unproven: UnprovenLimits,
    ) -> Self {
        Self {
            relay,
            admission: StreamAdmission::new(proven, unproven),
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

    /// Carries the stream to its end in a task of its own, or drops it when it has ended already.
    fn accept<S>(&self, protocol: StreamProtocol, stream: S)
    where
        S: AsyncRead + AsyncWrite + UnderlyingTcp + Send + 'static,
    {
        let meter = StreamMeter::start(&self.metrics, protocol);
        let Some((client, place)) = self.admit(stream.tcp()) else {
            meter.end("refused");
            return;
        };
        let relay = self.relay.clone();
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let end = bridge::run(protocol, stream, client, relay, place, &meter, &closing).await;
            tracing::trace!(proto = ?protocol, %end, "a stream ended");
            meter.end(end.label());
        });
    }

    fn count_http(&self) {
        self.metrics.accepted.with_label_values(&["http"]).inc();
    }

    fn admit(&self, tcp: &TcpStream) -> Option<(SocketAddr, StreamPlace)> {
        let client = tcp.peer_addr().ok()?;
        tcp.set_nodelay(true).ok()?;
        // What waits in the kernel cannot be dropped any more.
        let socket = socket2::SockRef::from(tcp);
        socket
            .set_tcp_notsent_lowat(bridge::MAX_UNSENT_BYTES)
            .ok()?;
        Some((client, self.admission.admit(client.ip())))
    }
}

#[cfg(test)]
mod tests;
