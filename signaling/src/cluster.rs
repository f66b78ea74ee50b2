//! Several servers as one, over Redis: any node takes any WebSocket, each session lives at one.
//!
//! A session's *owner* has it in memory and has its legs at its relay, just as a server alone would;
//! Redis holds the record from which another node can take it over. A socket that lands elsewhere is
//! bridged to the owner. Owners change under a fencing epoch: what an earlier owner tries is refused
//! by the scripts in `store`, so that at most one node can let a device claim.
//!
//! Clients take part: whenever a bridge breaks or a session moves, their sockets close with 1012, and
//! they connect again, to any node.

mod edge;
mod nodes;
mod owner;
mod record;
mod store;
mod wire;

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use authloop_protocol::{id::SessionId, signal::Outcome};
use dashmap::DashMap;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    clock::unix_millis,
    outbox::Closing,
    registry::{Change, Registry},
};

use edge::EdgeBridge;
use nodes::{Load, Nodes};
use owner::OwnerBridge;
use store::LEASE;
use wire::{BridgeId, Message};

pub(crate) use edge::{BridgeError, RemoteSeat};
pub(crate) use nodes::NodeId;
pub(crate) use record::Record;
pub(crate) use store::{Claimed, Store};

/// How often a node renews its lease and looks who listens; six may be lost.
const BEAT: Duration = Duration::from_millis(300);
/// How often the subscription is tried, because a silent connection may be a dead one.
const PING: Duration = Duration::from_secs(2);
/// Sessions that are moved or looked after at once.
const AT_ONCE: usize = 32;
/// How long an earlier owner's relay goes on for clients that have not moved yet.
const LINGER: Duration = Duration::from_secs(5);

/// Where the nodes meet.
#[derive(Clone)]
pub struct ClusterSettings {
    url: String,
    prefix: String,
}

impl ClusterSettings {
    /// For `url`, `redis://` or `rediss://` with user name and password if it wants them, and
    /// `prefix`, which every key and channel begins with: nodes with the same one are one group.
    /// `None` if the URL is none.
    #[must_use]
    pub fn new(url: &str, prefix: &str) -> Option<Self> {
        Store::is_url(url).then(|| Self {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

/// Leaves the address out: it may hold a password.
impl std::fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterSettings({})", self.prefix)
    }
}

/// The group of nodes cannot be joined.
#[derive(Debug, thiserror::Error)]
#[error("Redis cannot be used: {0}")]
pub struct ClusterError(String);

/// What a node knows of its group, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterStats {
    /// Nodes that beat, this one included.
    pub nodes: usize,
    /// Whether Redis answered the last beat and the subscription stands.
    pub connected: bool,
    /// Sockets here whose session is elsewhere.
    pub bridges: usize,
    /// Sessions that this node took over from others, in all.
    pub taken_over: u64,
}

/// This server's place among the others; clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    _tasks: Arc<DropGuard>,
}

pub(crate) struct Inner {
    me: NodeId,
    store: Store,
    registry: OnceLock<Registry>,
    nodes: Mutex<Nodes>,
    live: AtomicUsize,
    edges: DashMap<u64, Arc<EdgeBridge>>,
    edges_of: DashMap<SessionId, HashSet<u64>>,
    owners: DashMap<BridgeId, OwnerBridge>,
    next_bridge: AtomicU64,
    max_bridges: usize,
    queue: usize,
    remember: Duration,
    closed: AtomicBool,
    connected: AtomicBool,
    subscribed: AtomicBool,
    taken_over: AtomicU64,
    stop: CancellationToken,
}

impl Cluster {
    /// Connects to Redis.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not answer, or the URL is none.
    pub async fn connect(
        settings: &ClusterSettings,
        sockets: &crate::settings::SocketSettings,
        remember: Duration,
    ) -> Result<Self, ClusterError> {
        let failed = |error: String| ClusterError(error);
        let me = crate::secret::random().map_err(|error| failed(error.to_string()))?;
        let me = NodeId::from_bytes(me);
        let store = Store::connect(&settings.url, settings.prefix.clone())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let stop = CancellationToken::new();
        let inner = Inner {
            me,
            store,
            registry: OnceLock::new(),
            nodes: Mutex::new(Nodes::new(me)),
            live: AtomicUsize::new(0),
            edges: DashMap::new(),
            edges_of: DashMap::new(),
            owners: DashMap::new(),
            next_bridge: AtomicU64::new(0),
            max_bridges: sockets.max_sockets,
            queue: sockets.queue,
            remember,
            closed: AtomicBool::new(false),
            connected: AtomicBool::new(true),
            subscribed: AtomicBool::new(false),
            taken_over: AtomicU64::new(0),
            stop: stop.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            _tasks: Arc::new(stop.drop_guard()),
        })
    }

    /// Whether Redis answers and does what nodes need of it.
    ///
    /// # Errors
    /// [`ClusterError`] says what it does not.
    pub async fn try_out(settings: &ClusterSettings) -> Result<(), ClusterError> {
        let tried = async {
            let store = Store::connect(&settings.url, settings.prefix.clone()).await?;
            store.try_out().await
        };
        tried.await.map_err(|error| ClusterError(error.to_string()))
    }

    /// What this node knows of its group.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        ClusterStats {
            nodes: self.inner.live.load(Ordering::Relaxed),
            connected: self.inner.connected.load(Ordering::Relaxed)
                && self.inner.subscribed.load(Ordering::Relaxed),
            bridges: self.inner.edges.len(),
            taken_over: self.inner.taken_over.load(Ordering::Relaxed),
        }
    }

    /// Begins to beat and to listen. The first beat is awaited, so that the node can pick itself.
    pub(crate) async fn join(&self, registry: Registry) {
        let inner = &self.inner;
        let weak = Arc::downgrade(inner);
        registry.on_change(move |id, change| {
            if let Some(inner) = weak.upgrade() {
                tokio::spawn(async move { inner.write(id, change).await });
            }
        });
        let _ = inner.registry.set(registry);
        inner.beat().await;
        for task in [
            tokio::spawn(inner.clone().beats()),
            tokio::spawn(inner.clone().listen()),
        ] {
            drop(task);
        }
        tracing::info!(node = %inner.me, "joined the group");
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Gives every session to the other nodes; its clients' sockets close and come back there.
    pub(crate) async fn hand_over(&self) {
        let inner = &self.inner;
        inner.closed.store(true, Ordering::Relaxed);
        inner.beat().await;
        let ids = inner.registry().open_sessions();
        let moved = stream::iter(ids)
            .map(|id| inner.give_away(id))
            .buffer_unordered(AT_ONCE)
            .filter(|moved| std::future::ready(*moved))
            .count()
            .await;
        tracing::info!(moved, "sessions were given to other nodes");
        if let Err(error) = inner.store.leave(inner.me).await {
            tracing::warn!(%error, "the lease could not be given back");
        }
        inner.stop.cancel();
    }
}

impl Inner {
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn remember(&self) -> Duration {
        self.remember
    }

    /// The node that a new session should go to; `None` when all are full.
    pub(crate) fn pick(&self) -> Option<NodeId> {
        self.nodes.lock().pick(Instant::now(), None)
    }

    /// Makes sure that this node, the record's owner, has the session in memory.
    pub(crate) fn adopt(&self, record: &Record) {
        self.registry().adopt(record, Instant::now(), unix_millis());
    }

    /// Tells a new session's owner, if it is not this node, so that its expiry is somebody's care.
    pub(crate) async fn settle(&self, record: &Record) {
        if record.owner == self.me {
            self.adopt(record);
        } else {
            let session = record.id;
            self.publish(Some(record.owner), &Message::Adopt { session })
                .await;
        }
    }

    /// The live owner of a session: as recorded, or the least loaded node after the recorded one
    /// died. `None` when Redis does not answer or nobody takes it.
    pub(crate) async fn owner_of(&self, mut record: Record) -> Option<Record> {
        // Somebody else may win the same move; then what they wrote counts.
        for _ in 0..3 {
            if self.nodes.lock().is_live(record.owner, Instant::now()) {
                return Some(record);
            }
            let except = Some(record.owner);
            let heir = self.nodes.lock().pick(Instant::now(), except)?;
            if self.store.give(&record, heir).await.ok()? {
                tracing::info!(session = %record.id, from = %record.owner, to = %heir, "session moves");
                self.announce_move(record.id, record.epoch + 1, heir).await;
            }
            record = self.store.load(record.id).await.ok()??;
        }
        None
    }

    /// Ends a session that lives elsewhere.
    pub(crate) async fn end(&self, record: &Record, outcome: Outcome) {
        self.write(record.id, Change::Ended(outcome)).await;
        let session = record.id;
        self.publish(Some(record.owner), &Message::Ended { session, outcome })
            .await;
    }

    /// Nobody listens at this node's channel.
    pub(crate) fn suspect(&self, node: NodeId) {
        self.nodes.lock().suspect(node, Instant::now());
        self.drop_bridges_of(&[node]);
    }

    /// Another node owns this session by now: forget it, and send its clients away to come back.
    pub(crate) fn lost(self: &Arc<Self>, id: SessionId) {
        let Some(relay) = self.registry().release(id) else {
            return;
        };
        let inner = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LINGER).await;
            // It may have come back meanwhile, with new legs under the same name.
            if inner.registry().epoch(id).is_none() {
                relay.close(id).await;
            }
        });
    }

    /// Says something to one node or to all; how many heard it, `None` when Redis does not answer.
    async fn publish(&self, to: Option<NodeId>, message: &Message) -> Option<usize> {
        let text = serde_json::to_string(message).ok()?;
        match self.store.publish(to, text).await {
            Ok(heard) => Some(heard),
            Err(error) => {
                tracing::debug!(%error, "Redis took no publication");
                None
            }
        }
    }

    fn registry(&self) -> &Registry {
        // `join` sets it before any task or socket can come here.
        #[expect(clippy::expect_used, reason = "set once, before any use")]
        self.registry.get().expect("joined")
    }

    async fn announce_move(&self, session: SessionId, epoch: u64, to: NodeId) {
        if to == self.me {
            self.taken_over.fetch_add(1, Ordering::Relaxed);
        } else {
            self.publish(Some(to), &Message::Adopt { session }).await;
        }
        self.publish(None, &Message::Moved { session, epoch }).await;
    }

    async fn give_away(self: &Arc<Self>, id: SessionId) -> bool {
        let began = Instant::now();
        loop {
            if self.try_to_give(id).await {
                return true;
            }
            // The others may only be slow to beat; alone there is nobody to wait for.
            let others = self.live.load(Ordering::Relaxed) > 1;
            if !others || began.elapsed() > LEASE {
                return false;
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn try_to_give(self: &Arc<Self>, id: SessionId) -> bool {
        let Some(heir) = self.nodes.lock().pick(Instant::now(), Some(self.me)) else {
            return false;
        };
        let Some(record) = self.registry().record(id, self.me) else {
            return false;
        };
        let given = matches!(self.store.give(&record, heir).await, Ok(true));
        if given {
            self.announce_move(id, record.epoch + 1, heir).await;
            // The legs stay until the process ends: the clients are on them until they have moved.
            let _ = self.registry().release(id);
        }
        given
    }

    async fn write(&self, id: SessionId, change: Change) {
        for _ in 0..10 {
            let written = match change {
                Change::Ended(outcome) => self.store.end(id, outcome, self.remember).await,
                Change::Device => match self.registry().record(id, self.me) {
                    Some(record) => self.store.set_device(&record).await,
                    None => return,
                },
            };
            match written {
                Ok(()) => return,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        tracing::warn!(session = %id, ?change, "Redis never heard of it");
    }

    async fn beats(self: Arc<Self>) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.beat().await {
                // Others may have thought this node dead, or Redis may have forgotten everything.
                if last.elapsed() > LEASE {
                    self.audit().await;
                }
                last = Instant::now();
            }
        }
    }

    async fn beat(&self) -> bool {
        let registry = self.registry();
        let load = if self.closed.load(Ordering::Relaxed) || registry.is_full() {
            Load::Closed
        } else {
            Load::Sessions(u32::try_from(registry.live()).unwrap_or(u32::MAX))
        };
        let beat = self.store.beat(self.me, load).await;
        let connected = beat.is_ok();
        if self.connected.swap(connected, Ordering::Relaxed) != connected {
            if connected {
                tracing::info!("Redis answers again");
            } else {
                tracing::warn!("Redis does not answer; sessions go on, but none can begin or move");
            }
        }
        let Ok(beat) = beat else {
            return false;
        };
        self.live.store(beat.loads.len(), Ordering::Relaxed);
        let now = Instant::now();
        let mut gone = {
            let mut nodes = self.nodes.lock();
            for deaf in &beat.deaf {
                nodes.suspect(*deaf, now);
            }
            nodes.update(beat.loads, now)
        };
        gone.extend(beat.deaf);
        self.drop_bridges_of(&gone);
        true
    }

    /// Compares what is here with what Redis says, after a time without it.
    async fn audit(self: &Arc<Self>) {
        let ids = self.registry().open_sessions();
        stream::iter(ids)
            .for_each_concurrent(AT_ONCE, |id| self.audit_one(id))
            .await;
    }

    /// Gives one session up if it is another node's by now, and writes it again if Redis lost it.
    pub(crate) async fn audit_one(self: &Arc<Self>, id: SessionId) {
        let Some(mine) = self.registry().record(id, self.me) else {
            return;
        };
        match self.store.load(id).await {
            Ok(Some(record)) if record.owner != self.me || record.epoch != mine.epoch => {
                self.lost(id)
            }
            // It restarted empty: what this node knows is true.
            Ok(None) => {
                let _ = self.store.create(&mine, self.remember).await;
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }

    async fn listen(self: Arc<Self>) {
        let mut first = true;
        while !self.stop.is_cancelled() {
            if let Ok(subscription) = self.store.subscribe(self.me).await {
                self.subscribed.store(true, Ordering::Relaxed);
                if !first {
                    self.audit().await;
                }
                first = false;
                let (mut sink, mut heard) = subscription.split();
                let mut pings = interval(PING);
                loop {
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        publication = heard.next() => match publication {
                            Some(publication) => self.take(publication.get_payload_bytes()),
                            None => break,
                        },
                        _ = pings.tick() => {
                            let ping = timeout(Duration::from_secs(1), sink.ping::<redis::Value>());
                            if !matches!(ping.await, Ok(Ok(_))) {
                                break;
                            }
                        }
                    }
                }
                self.subscribed.store(false, Ordering::Relaxed);
                self.drop_all_bridges();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Never waits: whatever takes time becomes a task.
    fn take(self: &Arc<Self>, payload: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Message>(payload) else {
            tracing::debug!("another version's publication");
            return;
        };
        match message {
            Message::Open {
                bridge,
                session,
                epoch,
                identity,
            } => {
                self.owner_opens(bridge, session, epoch, &identity);
            }
            Message::Said { bridge, n, text } => self.owner_hears(bridge, n, text),
            Message::Gone { bridge } => drop(self.owners.remove(&bridge)),
            Message::Opened { bridge } => self.edge_opened(bridge, Ok(())),
            Message::Refused { bridge, code } => self.edge_opened(bridge, Err(code)),
            Message::Tell { bridge, n, text } => self.edge_tells(bridge, n, text),
            Message::Close { bridge, closing } => self.edge_closes(bridge, closing),
            Message::Adopt { session } => {
                let inner = self.clone();
                tokio::spawn(async move { inner.adopt_from_redis(session).await });
            }
            Message::Ended { session, outcome } => self.registry().end(session, outcome),
            Message::Moved { session, epoch } => {
                self.close_edges_of(session, epoch);
                if self
                    .registry()
                    .epoch(session)
                    .is_some_and(|mine| mine < epoch)
                {
                    self.lost(session);
                }
            }
        }
    }

    /// A session that is not adopted now is when a client comes; only its expiry waits for that.
    async fn adopt_from_redis(&self, session: SessionId) {
        if let Ok(Some(record)) = self.store.load(session).await
            && record.owner == self.me
            && record.outcome.is_none()
        {
            self.adopt(&record);
        }
    }

    fn drop_bridges_of(&self, gone: &[NodeId]) {
        if gone.is_empty() {
            return;
        }
        self.owners.retain(|bridge, _| !gone.contains(&bridge.edge));
        for edge in &self.edges {
            if gone.contains(&edge.owner) {
                edge.outbox.close(Closing::Restart);
            }
        }
    }

    fn drop_all_bridges(&self) {
        self.owners.clear();
        for edge in &self.edges {
            edge.outbox.close(Closing::Restart);
        }
    }
}
