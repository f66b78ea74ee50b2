//! `authloop serve`: everything started in order, and ended in the reverse one.

use std::{
    future::Future,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use authloop_signaling::{Cluster, Settings, Signaling, origin::Origin, page};
use axum_server::Handle;
use futures_util::future::OptionFuture;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    admin::{self, AdminState},
    api_keys_file::ApiKeysFile,
    audit::{AuditLog, ServerEvent},
    config::{self, Config, StreamEndpoints, TlsMode},
    ingress::Ingress,
    logging,
    metrics::Metrics,
    observer_fanout::ObserverFanout,
    shard::{self, RelayConfig, RelayHandle},
    shard_relay::{ShardRelay, forward_leg_events},
    shutdown,
    tcp_fallback::TcpFallback,
    telemetry, tls,
};

/// Serves until a signal asks for the end.
///
/// # Errors
/// When a port cannot be had or TLS does not work.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let traces = logging::start(&config)?;
    let hangup = Arc::new(Notify::new());
    // Where there is nothing to read anew, SIGHUP ends the process as it ends any other.
    if matches!(config.tls, TlsMode::Files { .. }) {
        shutdown::on_hangup(hangup.clone())?;
    }
    let json = config.json;
    let stop = async {
        if let Err(error) = shutdown::requested().await {
            tracing::error!(%error, "cannot catch signals");
            std::future::pending::<()>().await;
        }
    };
    let served = serve_until(config, |ready| ready.print(json), hangup, stop).await;
    if let Some(traces) = traces {
        traces.shut_down().await;
    }
    served
}

/// Serves until `stop` resolves; tells `ready` once everything listens, and looks at the
/// certificate's files whenever `hangup` is notified.
///
/// # Errors
/// When a port cannot be had or TLS does not work.
pub async fn serve_until(
    config: Config,
    ready: impl FnOnce(&Ready) -> std::io::Result<()>,
    hangup: Arc<Notify>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let listener = listen(config.listen)?;
    let bound = listener.local_addr()?;
    let admin_listener = config.admin_listen.map(listen).transpose()?;
    let admin_bound = admin_listener.as_ref().map(TcpListener::local_addr);
    let admin_bound = admin_bound.transpose()?;
    let metrics = Arc::new(Metrics::new()?);
    let tls = tls::TlsSetup::new(&config, bound, metrics.tls().clone())?;
    let rustls = tls.as_ref().map(|tls| tls.rustls.clone());
    let origin: Origin = config.origin_at(bound).parse()?;
    let (relay, events) = shard::start(&RelayConfig {
        listen: config.relay_listen,
        advertise: config.relay_advertise.clone(),
        shards: config.relay_shards,
        coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
    })?;
    let candidates = try_relay(&relay).await?;
    let endpoints = config.stream_endpoints(bound);
    let shards = Arc::new(ShardRelay {
        shards: relay.clone(),
        streams: endpoints.clone(),
    });
    let log = config.audit.as_ref().map(AuditLog::open).transpose()?;
    let observers = ObserverFanout {
        metrics: metrics.clone(),
        log: log.clone(),
    };
    let watched = keys_file(&config, &observers)?;
    let reports = Arc::new(observers.clone());
    let signaling = signaling(&config, origin.clone(), shards, reports).await?;
    let events = tokio::spawn(forward_leg_events(events, signaling.registry().clone()));
    let streams = TcpFallback::new(relay.clone(), metrics.streams().clone());
    let fallback = (config.streams != config::StreamSettings::Off).then(|| streams.clone());
    let admin = admin::router(AdminState {
        signaling: signaling.clone(),
        relay: relay.clone(),
        metrics: metrics.clone(),
        audit: log.clone(),
    });
    let admin_handle = Handle::new();
    let router = match admin_listener {
        None => signaling
            .router()
            .merge(page::strict_transport(admin, &origin)),
        Some(listener) => {
            let ingress = Ingress::admin(&config, metrics.connections().clone());
            tokio::spawn(ingress.serve(listener, admin, admin_handle.clone()));
            signaling.router()
        }
    };
    let router = match config.otlp_endpoint {
        Some(_) => telemetry::trace(router),
        None => router,
    };
    let handle = Handle::new();
    let ingress = Ingress::public(&config, rustls, fallback, metrics.connections().clone());
    let mut http = tokio::spawn(ingress.serve(listener, router, handle.clone()));
    let renewal = tls.map(|tls| tls.renew(config.timeouts.certificate_poll_interval, hangup));
    let renewal = tokio::spawn(OptionFuture::from(renewal));
    // Before anyone learns where to come, or a first session may be in the log before the start.
    let version = env!("CARGO_PKG_VERSION");
    observers.record(ServerEvent::ServerStarted { version });
    ready(&Ready {
        origin,
        listen: bound,
        admin: admin_bound,
        relay: candidates,
        streams: endpoints,
    })?;

    tokio::select! {
        ended = &mut http => return ended?.context("HTTP ended by itself"),
        () = stop => {}
    }
    renewal.abort();
    tracing::info!("going down");
    let drained = tokio::time::timeout(shutdown::GRACE, signaling.drain()).await;
    if drained.is_err() {
        tracing::warn!("some WebSockets did not close in time");
    }
    if config.cluster.is_some() {
        // The clients are still on this relay, until they have come to another node's.
        shutdown::quiet(&relay).await;
    }
    handle.graceful_shutdown(Some(shutdown::GRACE));
    let ended = tokio::time::timeout(shutdown::GRACE, streams.close()).await;
    if ended.is_err() {
        tracing::warn!("some streams did not close in time");
    }
    http.await??;
    // Last, so that operators see the end coming.
    admin_handle.shutdown();
    events.abort();
    drop(watched);
    observers.record(ServerEvent::ServerStopped);
    close(log).await;
    Ok(())
}

async fn close(log: Option<AuditLog>) {
    let Some(log) = log else {
        return;
    };
    let closing = tokio::task::spawn_blocking(move || log.close());
    if tokio::time::timeout(shutdown::GRACE, closing)
        .await
        .is_err()
    {
        tracing::error!("the audit log was not written in time");
    }
}

/// Begins to watch the API keys' file, if there is one, until the result is dropped.
fn keys_file(config: &Config, observers: &ObserverFanout) -> anyhow::Result<Option<JoinSet<()>>> {
    let (Some(path), Some(keys)) = (&config.api_keys_file, &config.api_keys) else {
        return Ok(None);
    };
    let file = ApiKeysFile::new(path.clone(), keys.clone(), observers.clone())?;
    let mut watch = JoinSet::new();
    watch.spawn(file.watch());
    Ok(Some(watch))
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on TCP {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A server alone, or one of several that meet in Redis.
async fn signaling(
    config: &Config,
    origin: Origin,
    relay: Arc<ShardRelay>,
    observers: Arc<ObserverFanout>,
) -> anyhow::Result<Signaling> {
    let settings = settings(config, origin);
    let viewer = config.viewer.clone();
    let Some(cluster) = &config.cluster else {
        return Ok(Signaling::new(settings, viewer, relay, observers));
    };
    // For `rediss://`: the library takes the process's provider. Another that is set already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::connect(cluster, &settings.sockets, settings.registry.remember).await?;
    Ok(Signaling::join(settings, viewer, relay, observers, cluster).await)
}

fn settings(config: &Config, origin: Origin) -> Settings {
    let mut settings = Settings::new(origin);
    settings.viewer_origins.clone_from(&config.viewer_origins);
    settings.embed_origins.clone_from(&config.embed_origins);
    settings.brand.clone_from(&config.brand);
    settings.api_keys.clone_from(&config.api_keys);
    settings.trusted_proxies.clone_from(&config.trusted_proxies);
    settings.registry.max_sessions = config.max_sessions;
    settings.sockets.max_sockets = config.max_sockets;
    settings.request = config.timeouts.request;
    settings.registry.remember = config.remember_ended;
    settings
}

/// Opens and closes a session, which proves that the relay runs and says where.
async fn try_relay(relay: &RelayHandle) -> anyhow::Result<Vec<SocketAddr>> {
    let probe = [0; 16];
    let [host, _] = relay.open(probe).await.context("the relay does not work")?;
    relay.close(probe).await?;
    Ok(host.candidates)
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

impl Ready {
    /// One line on standard output; tests and scripts wait for it.
    fn print(&self, json: bool) -> std::io::Result<()> {
        let relay: Vec<String> = self.relay.iter().map(ToString::to_string).collect();
        let line = if json {
            let line = serde_json::json!({
                "event": "listening",
                "url": self.origin.as_str(),
                "listen": self.listen,
                "admin": self.admin,
                "relay": relay.first(),
                "relay_candidates": relay,
                "streams": { "tcp": self.streams.tcp, "turn": self.streams.turn },
            });
            line.to_string()
        } else {
            let relay = relay.join(", ");
            format!("authloop listens at {}, relay at {relay}", self.origin)
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }
}
