//! The HTTP port as the internet meets it: who gets in, how long they may take, and how much they
//! may ask for at once.

mod door;
mod held;

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
    config::{Bounds, Config},
    metrics::ConnectionMetrics,
    slots::Slots,
    tcp_fallback::{TcpFallback, detector::ProtocolDetector},
    tls,
};
use door::Door;

/// The most memory one connection's headers may take, in bytes.
const MAX_HEADERS: u32 = 32 * 1024;
/// Requests at once on one connection by HTTP/2 (RFC 9113 §5.1.2): the page is about 60 files.
const MAX_STREAMS: u32 = 100;
/// Streams that a client may have reset before they were answered, and that its own mistakes had
/// reset (CVE-2023-44487): past them the connection ends.
const MAX_RESETS: usize = 50;
/// Bytes of bodies that one stream, and one connection, may send ahead: no body is longer.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes that wait for one stream's client to read them.
const MAX_UNREAD: usize = 64 * 1024;

/// How a port lets in.
pub(crate) struct Ingress {
    tls: Option<RustlsConfig>,
    fallback: Option<TcpFallback>,
    door: Door<()>,
    bounds: Bounds,
}

impl Ingress {
    /// The public port: TLS if there is any, and ICE-TCP and TURN if they are let in.
    pub(crate) fn public(
        config: &Config,
        tls: Option<RustlsConfig>,
        fallback: Option<TcpFallback>,
        metrics: ConnectionMetrics,
    ) -> Self {
        Self {
            tls,
            fallback,
            door: Door {
                inner: (),
                slots: Slots::new(config.max_connections, config.max_connections_per_address),
                proxies: config.trusted_proxies.clone().into(),
                patience: config.bounds.greeting,
                unread: config.bounds.unread,
                metrics,
            },
            bounds: config.bounds.clone(),
        }
    }

    /// The operators' port: plain HTTP, with places of its own.
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
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(listener)?
            .handle(handle)
            .first_request_timeout(self.bounds.first_request);
        limit(server.http_builder(), &self.bounds);
        match self.tls {
            None => {
                let acceptor = ProtocolDetector::new(DefaultAcceptor::new(), self.fallback);
                server
                    .acceptor(self.door.before(acceptor))
                    .serve(service)
                    .await
            }
            Some(rustls) => {
                let plain =
                    ProtocolDetector::before_tls(DefaultAcceptor::new(), self.fallback.clone());
                let acceptor = RustlsAcceptor::new(rustls)
                    .handshake_timeout(self.bounds.greeting.saturating_mul(2))
                    .acceptor(plain);
                // The door's patience ends first, and counts.
                let acceptor = ProtocolDetector::new(tls::EndChallenges(acceptor), self.fallback);
                server
                    .acceptor(self.door.before(acceptor))
                    .serve(service)
                    .await
            }
        }
    }
}

fn limit(builder: &mut Builder<TokioExecutor>, bounds: &Bounds) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
        .max_buf_size(MAX_HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_UNREAD)
        .keep_alive_interval(bounds.ping)
        .keep_alive_timeout(bounds.pong)
        .max_header_list_size(MAX_HEADERS);
}
