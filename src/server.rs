//! A server from its first open port to its end.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use authloop_signaling::{Cluster, Settings, Signaling, origin::Origin, page};
use axum::Router;
use axum_server::Handle;
use futures_util::future::OptionFuture;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

use crate::{
    admin::{self, AdminState},
    api_keys_file::ApiKeysFile,
    audit::{AuditLog, ServerEvent},
    client_limiter::ClientLimiter,
    config::{Config, StreamEndpoints, StreamSettings},
    ingress::Ingress,
    metrics::Metrics,
    observer_fanout::ObserverFanout,
    shard::{self, RelayConfig, RelayHandle},
    shard_relay::{ShardRelay, forward_leg_events},
    shutdown,
    tcp_fallback::TcpFallback,
    telemetry,
    tls::TlsSetup,
};

/// Connections that wait to be accepted, as far as the kernel allows.
const TCP_BACKLOG: i32 = 4096;

/// A server whose ports are open and served.
///
/// [`Server::run`] it, then [`Server::shut_down`]. A server that is dropped instead drops its parts
/// in the order of the fields, the reverse of that in which they were started: the relay, whose
/// threads end with its last handle, comes after everything that uses it.
pub struct Server {
    /// Replaces the certificate.
    renewal: JoinHandle<Option<()>>,
    /// Serves the HTTP port.
    http: JoinHandle<std::io::Result<()>>,
    http_handle: Handle<SocketAddr>,
    admin_handle: Handle<SocketAddr>,
    fallback: TcpFallback,
    /// Tells signaling what happens to legs.
    leg_events: JoinHandle<()>,
    signaling: Signaling,
    /// Whether other servers take over this one's clients.
    is_clustered: bool,
    /// Watches the API keys' file, until it is dropped.
    api_keys_watch: Option<JoinSet<()>>,
    observers: ObserverFanout,
    relay: RelayHandle,
    ready: Ready,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Where everything listens.
#[derive(Clone, Debug)]
pub struct Ready {
    /// As the world sees it.
    pub origin: Origin,
    /// The HTTP port.
    pub listen: SocketAddr,
    /// The port of operators and orchestrators, where it is another one.
    pub admin: Option<SocketAddr>,
    /// Where the relay is advertised, best first.
    pub relay: Vec<SocketAddr>,
    /// Where the HTTP port takes the legs' streams.
    pub streams: StreamEndpoints,
}

impl Server {
    /// Opens every port and starts to serve. The certificate's files are read again whenever
    /// `reload_certificate` is notified.
    ///
    /// # Errors
    /// When a port cannot be bound, or TLS, the relay, the audit log or Redis does not work.
    pub async fn bind(config: Config, reload_certificate: Arc<Notify>) -> anyhow::Result<Self> {
        let (listener, listen) = bind_tcp(config.listen)?;
        let (admin_listener, admin) = config.admin_listen.map(bind_tcp).transpose()?.unzip();
        let metrics = Arc::new(Metrics::new()?);
        let tls = TlsSetup::new(&config, listen, metrics.tls().clone())?;
        let origin: Origin = config.origin_at(listen).parse()?;
        let (relay, leg_events) = shard::start(&RelayConfig {
            listen: config.relay_listen,
            advertise: config.relay_advertise.clone(),
            shards: config.relay_shards,
            coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
        })?;
        let ready = Ready {
            origin,
            listen,
            admin,
            relay: relay_candidates(&relay).await?,
            streams: config.stream_endpoints(listen),
        };
        let log = config.audit.as_ref().map(AuditLog::open).transpose()?;
        let observers = ObserverFanout { metrics, log };
        let api_keys_watch = watch_api_keys(&config, &observers)?;
        let signaling = start_signaling(&config, &ready, &relay, &observers).await?;
        let leg_events = tokio::spawn(forward_leg_events(leg_events, signaling.registry().clone()));
        let streams = ClientLimiter::new(
            config.max_streams,
            config.max_streams_per_address,
            &config.trusted_proxies,
        );
        let metrics = observers.metrics.streams().clone();
        let fallback = TcpFallback::new(relay.clone(), streams, metrics);
        let admin = signaling.for_known_hosts(admin::router(AdminState {
            signaling: signaling.clone(),
            relay: relay.clone(),
            metrics: observers.metrics.clone(),
            audit: observers.log.clone(),
        }));
        let connections = observers.metrics.connections();
        let admin_handle = Handle::new();
        let router = match admin_listener {
            None => signaling
                .router()
                .merge(page::strict_transport(admin, &ready.origin)),
            Some(listener) => {
                let ingress = Ingress::admin(&config, connections.clone());
                tokio::spawn(ingress.serve(listener, admin, admin_handle.clone()));
                signaling.router()
            }
        };
        let http_handle = Handle::new();
        let ingress = Ingress::public(
            &config,
            tls.as_ref().map(|tls| tls.rustls.clone()),
            (config.streams != StreamSettings::Off).then(|| fallback.clone()),
            connections.clone(),
        );
        let router = traced(router, &config);
        let http = tokio::spawn(ingress.serve(listener, router, http_handle.clone()));
        let poll_interval = config.timeouts.certificate_poll_interval;
        let renewal = tls.map(|tls| tls.renew(poll_interval, reload_certificate));
        let renewal = tokio::spawn(OptionFuture::from(renewal));
        // Before anyone learns where to come, or a first session may be in the log before the start.
        let version = env!("CARGO_PKG_VERSION");
        observers.record(ServerEvent::ServerStarted { version });
        Ok(Self {
            renewal,
            http,
            http_handle,
            admin_handle,
            fallback,
            leg_events,
            signaling,
            is_clustered: config.cluster.is_some(),
            api_keys_watch,
            observers,
            relay,
            ready,
        })
    }

    /// Where everything listens.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Serves until `stop` resolves.
    ///
    /// # Errors
    /// When the HTTP port cannot be served any longer.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            ended = &mut self.http => {
                ended?.context("HTTP ended by itself")?;
                bail!("HTTP ended by itself");
            }
            () = stop => Ok(()),
        }
    }

    /// Ends everything, each step that waits within [`shutdown::GRACE_PERIOD`]:
    ///
    /// 1. The certificate is not renewed any more.
    /// 2. Signaling takes no more sessions, gives those it has to other servers of its group, and
    ///    closes its WebSockets.
    /// 3. In a group, the relay goes on until the clients have come to another server's.
    /// 4. The HTTP port accepts no more connections; open requests may end.
    /// 5. The streams at the HTTP port are closed.
    /// 6. The HTTP port is closed.
    /// 7. The operators' port is closed: so late that they see the end coming.
    /// 8. What happens to legs is no longer passed on, and the API keys' file no longer watched.
    /// 9. The audit log records the end and is closed.
    /// 10. The relay's threads end, with its last handle.
    ///
    /// # Errors
    /// When the HTTP port did not end well.
    pub async fn shut_down(self) -> anyhow::Result<()> {
        self.renewal.abort();
        tracing::info!("going down");
        let drained = tokio::time::timeout(shutdown::GRACE_PERIOD, self.signaling.drain()).await;
        if drained.is_err() {
            tracing::warn!("some WebSockets did not close in time");
        }
        if self.is_clustered {
            // The clients are still on this relay, until they have come to another node's.
            shutdown::wait_until_idle(&self.relay).await;
        }
        self.http_handle
            .graceful_shutdown(Some(shutdown::GRACE_PERIOD));
        let closed = tokio::time::timeout(shutdown::GRACE_PERIOD, self.fallback.close()).await;
        if closed.is_err() {
            tracing::warn!("some streams did not close in time");
        }
        self.http.await??;
        self.admin_handle.shutdown();
        self.leg_events.abort();
        drop(self.api_keys_watch);
        self.observers.record(ServerEvent::ServerStopped);
        close_audit_log(self.observers.log).await;
        Ok(())
    }
}

fn bind_tcp(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        listen_tcp(address).with_context(|| format!("cannot listen on TCP {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// At `[::]`, IPv4 comes, too, whatever the system's `net.ipv6.bindv6only` says: it is advertised.
fn listen_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

/// Where the relay is advertised. Opens and closes a session, which also proves that it runs.
async fn relay_candidates(relay: &RelayHandle) -> anyhow::Result<Vec<SocketAddr>> {
    let probe = [0; 16];
    let [host, _] = relay.open(probe).await.context("the relay does not work")?;
    relay.close(probe).await?;
    Ok(host.candidates)
}

/// Begins to watch the API keys' file, if there is one, until the result is dropped.
fn watch_api_keys(
    config: &Config,
    observers: &ObserverFanout,
) -> anyhow::Result<Option<JoinSet<()>>> {
    let (Some(path), Some(keys)) = (&config.api_keys_file, &config.api_keys) else {
        return Ok(None);
    };
    let file = ApiKeysFile::new(path.clone(), keys.clone(), observers.clone())?;
    let mut watch = JoinSet::new();
    watch.spawn(file.watch());
    Ok(Some(watch))
}

/// Starts signaling, for a server alone or for one of several that meet in Redis.
async fn start_signaling(
    config: &Config,
    ready: &Ready,
    relay: &RelayHandle,
    observers: &ObserverFanout,
) -> anyhow::Result<Signaling> {
    let settings = settings(config, ready.origin.clone());
    let viewer = config.viewer.clone();
    let observer = Arc::new(observers.clone());
    let relay = Arc::new(ShardRelay {
        shards: relay.clone(),
        streams: ready.streams.clone(),
    });
    let Some(cluster) = &config.cluster else {
        return Ok(Signaling::new(settings, viewer, relay, observer));
    };
    // For `rediss://`: the library takes the process's provider. Another that is set already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::connect(cluster, &settings.sockets, settings.registry.retention).await?;
    Ok(Signaling::join(settings, viewer, relay, observer, cluster).await)
}

fn settings(config: &Config, origin: Origin) -> Settings {
    let mut settings = Settings::new(origin);
    settings.viewer_origins.clone_from(&config.viewer_origins);
    settings.allowed_hosts.clone_from(&config.allowed_hosts);
    settings.embed_origins.clone_from(&config.embed_origins);
    settings.brand.clone_from(&config.brand);
    settings.api_keys.clone_from(&config.api_keys);
    settings.trusted_proxies.clone_from(&config.trusted_proxies);
    settings.registry.max_sessions = config.max_sessions;
    settings.sockets.max_sockets = config.max_sockets;
    settings.request_timeout = config.timeouts.request;
    settings.registry.retention = config.remember_ended;
    settings
}

/// The router, with a span for each request if there are traces.
fn traced(router: Router, config: &Config) -> Router {
    match config.otlp_endpoint {
        Some(_) => telemetry::trace(router),
        None => router,
    }
}

async fn close_audit_log(log: Option<AuditLog>) {
    let Some(log) = log else {
        return;
    };
    let closing = tokio::task::spawn_blocking(move || log.close());
    if tokio::time::timeout(shutdown::GRACE_PERIOD, closing)
        .await
        .is_err()
    {
        tracing::error!("the audit log was not written in time");
    }
}
