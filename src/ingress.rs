//! The HTTP port as the internet meets it: who is admitted, how long clients may take, and how much
//! they may ask for at once.

mod guard;
mod permit;
mod response_monitor;
mod unread_ledger;

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum_server::{
    Handle,
    accept::DefaultAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};

use crate::{
    client_limiter::ClientLimiter,
    config::{Config, Timeouts},
    metrics::ConnectionMetrics,
    tcp_fallback::{TcpFallback, detector::ProtocolDetector},
    tls,
};
use guard::ConnectionGuard;
use response_monitor::ResponseMonitor;
use unread_ledger::UnreadLimits;

/// Memory that one connection's headers may take.
const MAX_HEADER_BYTES: u32 = 32 * 1024;
/// Requests at once on one connection by HTTP/2 (RFC 9113 §5.1.2): the page's further files wait.
const MAX_HTTP2_STREAMS: u32 = 32;
/// Streams that a client may have reset before they were answered, and that its own mistakes had
/// reset (CVE-2023-44487): past them the connection ends.
const MAX_HTTP2_RESETS: usize = 50;
/// Bytes of bodies that one stream, and one connection, may send ahead: no body is longer.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes that may wait for one stream's client to read them.
const MAX_HTTP2_UNREAD_BYTES: usize = 64 * 1024;
/// Bytes that may wait for all clients together, beside what is in the sockets' buffers.
const MAX_UNREAD_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// How a port admits and serves connections.
pub(crate) struct Ingress {
    tls: Option<RustlsConfig>,
    fallback: Option<TcpFallback>,
    guard: ConnectionGuard<()>,
    timeouts: Timeouts,
}

impl Ingress {
    /// The public port: with TLS, ICE-TCP and TURN where they are given.
    pub(crate) fn public(
        config: &Config,
        tls: Option<RustlsConfig>,
        fallback: Option<TcpFallback>,
        metrics: ConnectionMetrics,
    ) -> Self {
        Self {
            tls,
            fallback,
            guard: ConnectionGuard {
                inner: (),
                limiter: ClientLimiter::new(
                    config.max_connections,
                    config.max_connections_per_address,
                    &config.trusted_proxies,
                ),
                greeting_timeout: config.timeouts.greeting,
                write_stall_timeout: config.timeouts.write_stall,
                responses: ResponseMonitor::new(
                    UnreadLimits {
                        stall_timeout: config.timeouts.write_stall,
                        idle_timeout: config.timeouts.headers,
                        max_total_bytes: MAX_UNREAD_TOTAL_BYTES,
                    },
                    metrics.clone(),
                ),
                metrics,
            },
            timeouts: config.timeouts.clone(),
        }
    }

    /// The operators' port: plain HTTP, with limits of its own.
    pub(crate) fn admin(config: &Config, metrics: ConnectionMetrics) -> Self {
        Self::public(config, None, None, metrics)
    }

    /// Serves until `handle` ends it.
    ///
    /// # Errors
    /// When the listener does not work.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        handle: Handle<SocketAddr>,
    ) -> std::io::Result<()> {
        let responses = self.guard.responses.clone();
        tokio::select! {
            served = self.accept_and_serve(listener, router, handle) => served,
            never = responses.run() => match never {},
        }
    }

    async fn accept_and_serve(
        self,
        listener: TcpListener,
        router: Router,
        handle: Handle<SocketAddr>,
    ) -> std::io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(listener)?
            .handle(handle)
            .first_request_timeout(self.timeouts.first_request);
        limit(server.http_builder(), &self.timeouts);
        match self.tls {
            None => {
                let acceptor = ProtocolDetector::new(DefaultAcceptor::new(), self.fallback);
                server
                    .acceptor(self.guard.before(acceptor))
                    .serve(service)
                    .await
            }
            Some(rustls) => {
                let plain =
                    ProtocolDetector::before_tls(DefaultAcceptor::new(), self.fallback.clone());
                let acceptor = RustlsAcceptor::new(rustls)
                    .handshake_timeout(self.timeouts.greeting.saturating_mul(2))
                    .acceptor(plain);
                // The guard's own timeout ends first, and is counted.
                let acceptor = ProtocolDetector::new(tls::ChallengeCloser(acceptor), self.fallback);
                server
                    .acceptor(self.guard.before(acceptor))
                    .serve(service)
                    .await
            }
        }
    }
}

fn limit(builder: &mut Builder<TokioExecutor>, timeouts: &Timeouts) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.headers)
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_HTTP2_STREAMS)
        .max_pending_accept_reset_streams(MAX_HTTP2_RESETS)
        .max_local_error_reset_streams(MAX_HTTP2_RESETS)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_HTTP2_UNREAD_BYTES)
        .keep_alive_interval(timeouts.http2_ping_interval)
        .keep_alive_timeout(timeouts.http2_pong)
        .max_header_list_size(MAX_HEADER_BYTES);
}
