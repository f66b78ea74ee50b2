//! Signaling for authloop: the sessions API, the two WebSockets of a session and the viewer page.
//!
//! `docs/PROTOCOL.md` sections 3 to 5 are what it speaks. The server stores the hash of a claim
//! token and forwards sealed blobs; nothing here can open them. The relay, the metrics and the
//! process are the root package's: it implements [`Relay`] and [`Observer`] and serves
//! [`Signaling::router`].

#![forbid(unsafe_code)]

pub mod api_keys;
pub mod audit;
pub mod brand;
pub mod observer;
pub mod origin;
pub mod page;
pub mod rates;
pub mod relay;
pub mod settings;

mod api;
mod clock;
mod cluster;
mod directory;
mod error;
mod limits;
mod outbox;
mod refusal;
mod registry;
mod seat;
mod secret;
mod session;
mod socket;

use std::sync::Arc;

use axum::{
    Router,
    http::{Extensions, HeaderMap},
    response::{IntoResponse as _, Response},
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use api_keys::{ApiKeys, Caller, NewKey, Scope};
pub use audit::AuditEvent;
pub use brand::Brand;
pub use cluster::{Cluster, ClusterError, ClusterSettings, ClusterStats};
pub use observer::{Event, Observer};
pub use page::Viewer;
pub use registry::{Counts, Registry};
pub use relay::{LegEvent, LegParameters, Legs, Relay, RelayError, Side};
pub use settings::Settings;

use api_keys::Denied;
use clock::unix_millis;
use directory::Directory;
use error::{ApiError, Kind};
use limits::{ClientAddr, Limits};

/// One server's signaling; clones share it.
#[derive(Clone)]
pub struct Signaling {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    directory: Directory,
    limits: Limits,
    viewer: Viewer,
    observer: Arc<dyn Observer>,
    draining: CancellationToken,
    sockets: TaskTracker,
    socket_places: Arc<Semaphore>,
}

impl Signaling {
    /// Starts the registry's timer; call it inside a tokio runtime.
    #[must_use]
    pub fn new(
        settings: Settings,
        viewer: Viewer,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self::over(settings, viewer, relay, observer, None)
    }

    /// As [`Self::new`], as one of several nodes.
    pub async fn join(
        settings: Settings,
        viewer: Viewer,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
        cluster: Cluster,
    ) -> Self {
        let signaling = Self::over(settings, viewer, relay, observer, Some(cluster.clone()));
        cluster.join(signaling.registry().clone()).await;
        signaling
    }

    fn over(
        settings: Settings,
        viewer: Viewer,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
        cluster: Option<Cluster>,
    ) -> Self {
        let registry = Registry::start(settings.registry.clone(), relay, observer.clone());
        Self {
            inner: Arc::new(Inner {
                limits: Limits::new(&settings.rates),
                socket_places: Arc::new(Semaphore::new(settings.sockets.max_sockets)),
                settings,
                directory: Directory { registry, cluster },
                viewer,
                observer,
                draining: CancellationToken::new(),
                sockets: TaskTracker::new(),
            }),
        }
    }

    /// The sessions API, the WebSockets and the viewer page. It wants the peer's address
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for its rate limits.
    pub fn router(&self) -> Router {
        let settings = &self.inner.settings;
        let router = api::router(self.clone()).merge(page::router(settings, &self.inner.viewer));
        page::strict_transport(router, &settings.public_origin)
    }

    /// The sessions.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.directory.registry
    }

    /// What this node knows of its group; `None` for a server alone.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterStats> {
        self.inner.directory.cluster.as_ref().map(Cluster::stats)
    }

    /// Whether requests for what `scope` reads must bring a key: once any key has that scope.
    #[must_use]
    pub fn guards(&self, scope: Scope) -> bool {
        let keys = self.inner.settings.api_keys.as_ref();
        keys.is_some_and(|keys| keys.mentions(scope))
    }

    /// Lets a request in whose API key has `scope`, and counts it. An address has a rate for this,
    /// so that keys cannot be guessed at speed.
    ///
    /// # Errors
    /// The answer to give (401, 403 or 429).
    pub fn admit(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Caller, Box<Response>> {
        let admitted = self.pace(extensions, headers).and_then(|()| {
            let caller = self.authorize(headers, scope);
            caller.map_err(|denied| ApiError::from(&denied))
        });
        admitted.map_err(|refusal| Box::new(refusal.into_response()))
    }

    /// Takes one from the rate that an address has for credentials, registrations and claims apart.
    pub(crate) fn pace(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let client = self.client(extensions, headers);
        self.inner.limits.manage(client).map_err(|retry_after| {
            ApiError::new(
                Kind::RateLimited { retry_after },
                "too many requests with credentials came from this address; try again later",
            )
        })
    }

    /// Whose rates a request takes from.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> ClientAddr {
        ClientAddr::of(extensions, headers, &self.inner.settings.trusted_proxies)
    }

    /// As [`Self::admit`]; without keys nobody has one.
    pub(crate) fn authorize(&self, headers: &HeaderMap, scope: Scope) -> Result<Caller, Denied> {
        let admitted = match &self.inner.settings.api_keys {
            Some(keys) => keys.authorize(headers, scope, unix_millis() / 1000),
            None => Err(Denied::Missing),
        };
        let outcome = match &admitted {
            Ok(_) => "ok",
            Err(denied) => denied.as_str(),
        };
        self.inner.observer.observe(Event::ApiKey(outcome));
        admitted
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    /// Closes every WebSocket with 1012 (service restart), refuses new ones and waits until the
    /// last has gone. axum's own graceful shutdown does not see upgraded connections. One of several
    /// nodes gives its sessions to the others first.
    pub async fn drain(&self) {
        if let Some(cluster) = &self.inner.directory.cluster {
            cluster.hand_over().await;
        }
        self.inner.draining.cancel();
        self.inner.sockets.close();
        self.inner.sockets.wait().await;
    }
}
