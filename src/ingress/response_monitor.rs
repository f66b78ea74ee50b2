//! Ends connections whose clients do not read their responses, or ask for nothing.
//!
//! A write that waits is not the only sign of a client that does not read: in HTTP/2 a window of
//! zero (RFC 9113 §5.2) holds responses back while the connection itself goes on. So each response
//! is watched from its first byte to its last, also inside the HTTP library's queues.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::HttpBody,
    http::{Request, Response, Version},
};
use axum_server::ConnectionShutdown;
use bytes::{Buf, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tower_service::Service;

use super::unread_ledger::{CloseOrder, UnreadLedger, UnreadLimits};
use crate::metrics::ConnectionMetrics;

/// Sweeps in the shortest time that a connection may stall or rest.
const SWEEPS_PER_TIMEOUT: u32 = 4;

/// Watches the responses of all connections; clones share the watch.
#[derive(Clone, Debug)]
pub(super) struct ResponseMonitor {
    ledger: Arc<Mutex<UnreadLedger<ConnectionShutdown>>>,
    sweep_interval: Duration,
    metrics: ConnectionMetrics,
}

impl ResponseMonitor {
    pub(super) fn new(limits: UnreadLimits, metrics: ConnectionMetrics) -> Self {
        let shortest = limits.stall_timeout.min(limits.idle_timeout);
        Self {
            ledger: Arc::new(Mutex::new(UnreadLedger::new(limits))),
            sweep_interval: (shortest / SWEEPS_PER_TIMEOUT).max(Duration::from_millis(1)),
            metrics,
        }
    }

    /// Watches the responses that `service` gives on one connection.
    pub(super) fn watch<S>(&self, service: S) -> MonitoredService<S> {
        let connection = Arc::new(MonitoredConnection {
            id: self.ledger.lock().new_id(),
            monitor: self.clone(),
        });
        MonitoredService {
            inner: service,
            connection,
        }
    }

    /// Ends connections whose time is over; never returns.
    pub(super) async fn run(&self) -> Infallible {
        let mut interval = tokio::time::interval(self.sweep_interval);
        loop {
            interval.tick().await;
            let closed = self.ledger.lock().sweep(Instant::now());
            for (closer, order) in closed {
                match order {
                    CloseOrder::Unread => self.cut(&closer),
                    CloseOrder::Idle => closer.graceful_shutdown(),
                    CloseOrder::IdleStill => closer.shutdown(),
                }
            }
        }
    }

    fn cut(&self, closer: &ConnectionShutdown) {
        self.metrics.refuse("unread");
        closer.shutdown();
    }

    fn cut_all(&self, closers: Vec<ConnectionShutdown>) {
        closers.iter().for_each(|closer| self.cut(closer));
    }
}

/// A connection's service, whose responses are watched.
#[derive(Clone, Debug)]
pub(super) struct MonitoredService<S> {
    inner: S,
    connection: Arc<MonitoredConnection>,
}

/// One connection, until it and its responses have gone.
#[derive(Debug)]
struct MonitoredConnection {
    id: u64,
    monitor: ResponseMonitor,
}

impl Drop for MonitoredConnection {
    fn drop(&mut self) {
        self.monitor.ledger.lock().end_connection(self.id);
    }
}

impl<S, B> Service<Request<Incoming>> for MonitoredService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<MonitoredBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let watched = MonitoredRequest::begin(&self.connection, &request);
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            let watched = watched.map(|request| Arc::new(MonitoredResponse::begin(request)));
            Ok(response.map(|inner| MonitoredBody { inner, watched }))
        })
    }
}

/// One request, until its response has gone.
#[derive(Debug)]
struct MonitoredRequest {
    connection: Arc<MonitoredConnection>,
}

impl MonitoredRequest {
    /// HTTP/1 has timeouts of its own, and no window: its writes wait.
    fn begin(connection: &Arc<MonitoredConnection>, request: &Request<Incoming>) -> Option<Self> {
        let closer = request.extensions().get::<ConnectionShutdown>()?;
        if request.version() != Version::HTTP_2 {
            return None;
        }
        let mut ledger = connection.monitor.ledger.lock();
        ledger.begin_request(connection.id, || closer.clone());
        Some(Self {
            connection: connection.clone(),
        })
    }
}

impl Drop for MonitoredRequest {
    fn drop(&mut self) {
        let mut ledger = self.connection.monitor.ledger.lock();
        ledger.end_request(self.connection.id, Instant::now());
    }
}

/// One response, until all of it has been read or dropped.
#[derive(Debug)]
struct MonitoredResponse {
    id: u64,
    request: MonitoredRequest,
}

impl MonitoredResponse {
    fn begin(request: MonitoredRequest) -> Self {
        let connection = &request.connection;
        let monitor = &connection.monitor;
        let (id, closed) = {
            let mut ledger = monitor.ledger.lock();
            let id = ledger.new_id();
            (id, ledger.begin_response(id, connection.id, Instant::now()))
        };
        monitor.cut_all(closed);
        Self { id, request }
    }

    fn monitor(&self) -> &ResponseMonitor {
        &self.request.connection.monitor
    }
}

impl Drop for MonitoredResponse {
    fn drop(&mut self) {
        self.monitor().ledger.lock().end_response(self.id);
    }
}

/// A response's body, whose bytes are watched until they have been sent.
#[derive(Debug)]
pub(super) struct MonitoredBody<B> {
    inner: B,
    /// `None` where nothing can be held back.
    watched: Option<Arc<MonitoredResponse>>,
}

impl<B> HttpBody for MonitoredBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = MonitoredBytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<MonitoredBytes>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        let watched = &self.watched;
        frame.map_ok(|frame| frame.map_data(|bytes| MonitoredBytes::new(bytes, watched.clone())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Bytes of a body, inside the HTTP library's queues too.
#[derive(Debug)]
pub(super) struct MonitoredBytes {
    bytes: Bytes,
    /// Bytes that this response alone keeps in memory: none of what is shared or static.
    held: usize,
    watched: Option<Arc<MonitoredResponse>>,
}

impl MonitoredBytes {
    fn new(bytes: Bytes, watched: Option<Arc<MonitoredResponse>>) -> Self {
        let held = if bytes.is_unique() { bytes.len() } else { 0 };
        if let Some(response) = &watched {
            let monitor = response.monitor();
            let closed = monitor.ledger.lock().hold(response.id, held);
            monitor.cut_all(closed);
        }
        Self {
            bytes,
            held,
            watched,
        }
    }
}

impl Buf for MonitoredBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(response) = &self.watched {
            let mut ledger = response.monitor().ledger.lock();
            ledger.progress(response.id, Instant::now());
        }
    }
}

impl Drop for MonitoredBytes {
    fn drop(&mut self) {
        if let Some(response) = &self.watched {
            let mut ledger = response.monitor().ledger.lock();
            ledger.release(response.id, self.held);
        }
    }
}
