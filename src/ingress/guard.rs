//! Limits connections at the HTTP port, and drops clients that do not complete a handshake in time.

use std::{io, pin::Pin, time::Duration};

use authloop_net::{GuardedStream, LimitReached};
use axum_server::accept::Accept;
use tokio::net::TcpStream;

use super::{
    permit::MeteredPermit,
    response_monitor::{MonitoredService, ResponseMonitor},
};
use crate::{client_limiter::ClientLimiter, metrics::ConnectionMetrics};

/// Accepts as `A` does, if the limits allow it and it does not take too long.
#[derive(Clone, Debug)]
pub(super) struct ConnectionGuard<A> {
    pub(super) inner: A,
    pub(super) limiter: ClientLimiter,
    /// Time for TLS, and for a client's first bytes.
    pub(super) greeting_timeout: Duration,
    /// Time for a client to read some of what waits for it.
    pub(super) write_stall_timeout: Duration,
    pub(super) responses: ResponseMonitor,
    pub(super) metrics: ConnectionMetrics,
}

impl ConnectionGuard<()> {
    pub(super) fn before<A>(self, inner: A) -> ConnectionGuard<A> {
        ConnectionGuard {
            inner,
            limiter: self.limiter,
            greeting_timeout: self.greeting_timeout,
            write_stall_timeout: self.write_stall_timeout,
            responses: self.responses,
            metrics: self.metrics,
        }
    }
}

impl<A> ConnectionGuard<A> {
    fn admit(&self, tcp: &TcpStream) -> io::Result<MeteredPermit> {
        // Signaling sends several small messages in a row; each would wait for the client's delayed
        // acknowledgement (RFC 9293 section 3.7.4).
        tcp.set_nodelay(true)?;
        let permit = self.limiter.try_acquire(tcp.peer_addr()?.ip());
        let permit = permit.map_err(|limit| {
            self.metrics.refuse(match limit {
                LimitReached::Total => "total",
                LimitReached::Address => "address",
            });
            io::Error::from(io::ErrorKind::ConnectionRefused)
        })?;
        Ok(MeteredPermit::new(permit, &self.metrics))
    }
}

impl<A, S> Accept<TcpStream, S> for ConnectionGuard<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
    A::Stream: Send,
    A::Service: Send,
{
    type Stream = GuardedStream<A::Stream, MeteredPermit>;
    type Service = MonitoredService<A::Service>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let permit = self.admit(&stream);
        let accepted = permit.map(|permit| (permit, self.inner.accept(stream, service)));
        let (greeting, write_stall) = (self.greeting_timeout, self.write_stall_timeout);
        let (responses, metrics) = (self.responses.clone(), self.metrics.clone());
        Box::pin(async move {
            let (permit, accepted) = accepted?;
            let Ok(accepted) = tokio::time::timeout(greeting, accepted).await else {
                metrics.refuse("slow");
                return Err(io::ErrorKind::TimedOut.into());
            };
            let (stream, service) = accepted?;
            let stream = GuardedStream::new(stream, permit);
            let stream = stream.with_write_stall_timeout(write_stall);
            Ok((stream, responses.watch(service)))
        })
    }
}
