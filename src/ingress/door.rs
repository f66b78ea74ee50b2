//! Who gets in at the HTTP port: no more than there are places for, and nobody who cannot make up
//! their mind.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use axum_server::accept::Accept;
use ipnet::IpNet;
use tokio::net::TcpStream;

use super::held::Held;
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
    /// For a client to read something of what waits for it.
    pub(super) unread: Duration,
    pub(super) metrics: ConnectionMetrics,
}

/// A place that is taken, and counted.
#[derive(Debug)]
pub(super) struct Place {
    _slot: Slot,
    pub(super) metrics: ConnectionMetrics,
}

impl Door<()> {
    pub(super) fn before<A>(self, inner: A) -> Door<A> {
        Door {
            inner,
            slots: self.slots,
            proxies: self.proxies,
            patience: self.patience,
            unread: self.unread,
            metrics: self.metrics,
        }
    }
}

impl<A> Door<A> {
    fn place(&self, tcp: &TcpStream) -> io::Result<Place> {
        // Signaling says several small things in a row; each would wait for the client's delayed
        // acknowledgement (RFC 9293 section 3.7.4).
        tcp.set_nodelay(true)?;
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
        let (patience, unread) = (self.patience, self.unread);
        let metrics = self.metrics.clone();
        Box::pin(async move {
            let (place, accepted) = accepted?;
            let Ok(accepted) = tokio::time::timeout(patience, accepted).await else {
                metrics.refuse("slow");
                return Err(io::ErrorKind::TimedOut.into());
            };
            let (stream, service) = accepted?;
            Ok((Held::new(stream, place, unread), service))
        })
    }
}
