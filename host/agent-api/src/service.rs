//! The service as a whole: built from a configuration, served on a listener, ended in order.

use std::{io, sync::Arc, time::Duration};

use authloop_net::{LimitedListener, serve_http};
use governor::Quota;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    app::App, config::Config, config_error::ConfigError, idempotency::Idempotency, rates::Rates,
    routes, runner::Runner, sessions::Sessions, webhook::Webhooks,
};

/// How long sessions and webhooks may take to end once the service is told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// How long clients may keep a request open after that.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections at once, polls and streams included; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The listener.
    #[error("the listener failed: {0}")]
    Io(#[from] io::Error),
}

/// The agent API on one listener.
pub struct Service {
    listener: TcpListener,
    app: Arc<App>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Checks the configuration against the listener's address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn new(
        listener: TcpListener,
        config: Config,
        runner: Arc<dyn Runner>,
    ) -> Result<Self, ServeError> {
        let listen = listener.local_addr()?;
        config.check(listen)?;
        let base = match &config.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{listen}"),
        };
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let webhooks = Webhooks::new(
            &config.webhooks,
            config.metrics.clone(),
            tasks.clone(),
            stop.clone(),
        )?;
        let burst = config
            .rate
            .saturating_mul(2.try_into().unwrap_or(config.rate));
        let rates = Rates::new(
            &config.keys,
            Quota::per_second(config.rate).allow_burst(burst),
        );
        let sessions = Sessions::new(
            runner,
            Arc::new(webhooks),
            &config,
            base,
            tasks.clone(),
            stop.clone(),
        );
        let app = Arc::new(App {
            sessions,
            keys: config.keys,
            rates,
            allow_hosts: config
                .allow_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            idempotency: Idempotency::default(),
            audit: config.audit,
            webhooks: config.webhooks,
            rooms: config.rooms,
        });
        Ok(Self {
            listener,
            app,
            tasks,
            stop,
        })
    }

    /// Serves until `stop` is cancelled; then open sessions are withdrawn, streams and polls end, and
    /// webhooks get a last attempt.
    pub async fn serve(self, stop: CancellationToken) {
        let routes = routes::router(Arc::clone(&self.app));
        let (sessions, tasks) = (self.stop, self.tasks);
        let listener = LimitedListener::new(self.listener, MAX_CONNECTIONS);
        let server = tokio::spawn(serve_http(listener, routes, stop.clone()));
        stop.cancelled().await;
        sessions.cancel();
        tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some sessions or webhooks did not end in time");
        }
        // Who keeps a request open for longer goes without its end.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, server).await;
    }
}
