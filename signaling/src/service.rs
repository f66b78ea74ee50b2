//! One server's signaling: what its HTTP handlers and sockets share, and its start and end.

use std::sync::Arc;

use axum::{
    http::{Extensions, HeaderMap},
    response::{IntoResponse as _, Response},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use crate::{
    api_keys::{Caller, KeyRefusal, Scope},
    audit::AuditEvent,
    byte_budget::ByteBudget,
    clock::unix_millis,
    cluster::{Cluster, ClusterStats},
    directory::Directory,
    error::{ApiError, ApiErrorKind},
    hosts::KnownHosts,
    limits::{ClientAddr, ClientRateLimits},
    observer::{Observer, SignalingEvent},
    origin::Origin,
    page::PageSource,
    registry::Registry,
    relay::Relay,
    settings::Settings,
};

/// One server's signaling; clones share it.
#[derive(Clone)]
pub struct Signaling {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Signaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signaling").finish_non_exhaustive()
    }
}

struct Inner {
    settings: Settings,
    hosts: KnownHosts,
    directory: Directory,
    limits: ClientRateLimits,
    page: PageSource,
    observer: Arc<dyn Observer>,
    draining: CancellationToken,
    sockets: TaskTracker,
    socket_permits: Arc<Semaphore>,
    queued_bytes: ByteBudget,
}

impl Signaling {
    /// Starts the registry's timer; call it inside a tokio runtime.
    #[must_use]
    pub fn new(
        settings: Settings,
        page: PageSource,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self::over(settings, page, relay, observer, None)
    }

    /// As [`Self::new`], as one of several nodes.
    pub async fn join(
        settings: Settings,
        page: PageSource,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
        cluster: Cluster,
    ) -> Self {
        let signaling = Self::over(settings, page, relay, observer, Some(cluster.clone()));
        cluster.join(signaling.registry().clone()).await;
        signaling
    }

    fn over(
        settings: Settings,
        page: PageSource,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
        cluster: Option<Cluster>,
    ) -> Self {
        let registry = Registry::start(settings.registry.clone(), relay, observer.clone());
        Self {
            inner: Arc::new(Inner {
                limits: ClientRateLimits::new(&settings.rates),
                socket_permits: Arc::new(Semaphore::new(settings.sockets.max_sockets)),
                queued_bytes: ByteBudget::new(settings.sockets.max_queued_bytes),
                hosts: known_hosts(&settings),
                settings,
                directory: Directory { registry, cluster },
                page,
                observer,
                draining: CancellationToken::new(),
                sockets: TaskTracker::new(),
            }),
        }
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
                ApiErrorKind::RateLimited { retry_after },
                "too many requests with credentials came from this address; try again later",
            )
        })
    }

    /// Takes one from the rate at which an address may look up sessions: each is a question to Redis
    /// in a group.
    pub(crate) fn pace_lookup(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let client = self.client(extensions, headers);
        self.inner.limits.lookup(client).map_err(|retry_after| {
            ApiError::new(
                ApiErrorKind::RateLimited { retry_after },
                "too many sessions were looked up from this address; try again later",
            )
        })
    }

    /// Whose rates a request takes from.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> ClientAddr {
        ClientAddr::of(extensions, headers, &self.inner.settings.trusted_proxies)
    }

    /// As [`Self::admit`]; without keys nobody has one.
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Caller, KeyRefusal> {
        let admitted = match &self.inner.settings.api_keys {
            Some(keys) => keys.authorize(headers, scope, unix_millis() / 1000),
            None => Err(KeyRefusal::Missing),
        };
        let outcome = match &admitted {
            Ok(_) => "ok",
            Err(denied) => denied.as_str(),
        };
        self.observe(SignalingEvent::ApiKey(outcome));
        admitted
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn known_hosts(&self) -> &KnownHosts {
        &self.inner.hosts
    }

    pub(crate) fn page_source(&self) -> &PageSource {
        &self.inner.page
    }

    pub(crate) fn limits(&self) -> &ClientRateLimits {
        &self.inner.limits
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    /// Reports something to count.
    pub(crate) fn observe(&self, event: SignalingEvent) {
        self.inner.observer.observe(event);
    }

    /// Reports something for the audit log.
    pub(crate) fn audit(&self, event: AuditEvent) {
        self.inner.observer.audit(event);
    }

    /// Room for one more WebSocket; `None` when there are as many as may be open.
    pub(crate) fn reserve_socket(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.socket_permits.clone().try_acquire_owned().ok()
    }

    /// Bytes that may wait for all sockets together.
    pub(crate) fn queued_bytes(&self) -> &ByteBudget {
        &self.inner.queued_bytes
    }

    /// Where the WebSockets' tasks are tracked: [`Self::drain`] waits for them.
    pub(crate) fn socket_tasks(&self) -> &TaskTracker {
        &self.inner.sockets
    }

    /// Resolves once [`Self::drain`] is called.
    pub(crate) fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.inner.draining.cancelled()
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
            cluster.drain().await;
        }
        self.inner.draining.cancel();
        self.inner.sockets.close();
        self.inner.sockets.wait().await;
    }
}

fn known_hosts(settings: &Settings) -> KnownHosts {
    let public = std::iter::once(&settings.public_origin);
    let origins: Vec<&Origin> = public.chain(&settings.viewer_origins).collect();
    KnownHosts::new(&origins, &settings.allowed_hosts)
}
