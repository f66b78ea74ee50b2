//! Who gets in at the HTTP port: no more than there are places for, and nobody who cannot make up
//! their mind.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    metrics::ConnectionMetrics,
    slots::{Full, Slot, Slots},
};

/// Accepts as `A` does, if there is a place and it does not take too long.
#[derive(Clone, Debug)]
pub(super) struct Door<A> {
    pub(super) inner: A,
    pub(super) slots: Slots,
    /// Their addresses stand for many clients.
    pub(super) proxies: Arc<[IpNet]>,
    /// For TLS, and for a client's first bytes.
    pub(super) patience: Duration,
    pub(super) metrics: ConnectionMetrics,
}

/// A connection that holds its place as long as it lives, also as a WebSocket.
#[derive(Debug)]
pub(super) struct Held<S> {
    inner: S,
    _place: Place,
}

#[derive(Debug)]
struct Place {
    _slot: Slot,
    metrics: ConnectionMetrics,
}

impl Door<()> {
    pub(super) fn before<A>(self, inner: A) -> Door<A> {
        Door {
            inner,
            slots: self.slots,
            proxies: self.proxies,
            patience: self.patience,
            metrics: self.metrics,
        }
    }
}

impl<A> Door<A> {
    fn place(&self, tcp: &TcpStream) -> io::Result<Place> {
        let peer = tcp.peer_addr()?.ip().to_canonical();
        let slot = if self.proxies.iter().any(|net| net.contains(&peer)) {
            self.slots.take_for_many()
        } else {
            self.slots.take(peer)
        };
        let slot = slot.map_err(|full| {
            self.metrics.refuse(match full {
                Full::Total => "total",
                Full::Address => "address",
            });
            io::Error::from(io::ErrorKind::ConnectionRefused)
        })?;
        Ok(Place::new(slot, &self.metrics))
    }
}

impl Place {
    fn new(slot: Slot, metrics: &ConnectionMetrics) -> Self {
        metrics.open.inc();
        Self {
            _slot: slot,
            metrics: metrics.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

impl<A, S> Accept<TcpStream, S> for Door<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
    A::Stream: Send,
    A::Service: Send,
{
    type Stream = Held<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = self.place(&stream);
        let accepted = place.map(|place| (place, self.inner.accept(stream, service)));
        let (patience, metrics) = (self.patience, self.metrics.clone());
        Box::pin(async move {
            let (place, accepted) = accepted?;
            let Ok(accepted) = tokio::time::timeout(patience, accepted).await else {
                metrics.refuse("slow");
                return Err(io::ErrorKind::TimedOut.into());
            };
            let (stream, service) = accepted?;
            let held = Held {
                inner: stream,
                _place: place,
            };
            Ok((held, service))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
