//! Several servers as one, over Redis: any node takes any WebSocket, each session lives at one.
//!
//! A session's *owner* has it in memory and has its legs at its relay, just as a server alone would;
//! Redis holds the record from which another node can take it over. A socket that lands elsewhere is
//! bridged to the owner. Owners change under a fencing epoch: what an earlier owner tries is refused
//! by the scripts in `store`, so that at most one node can let a device claim.
//!
//! Clients take part: whenever a bridge breaks or a session moves, their sockets close with 1012, and
//! they connect again, to any node.

mod bridges;
mod drain;
mod edge;
mod entry;
mod heartbeat;
mod node;
mod nodes;
mod owner;
mod reconcile;
mod record;
mod store;
mod subscription;
mod wire;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_protocol::{
    id::SessionId,
    signal::{Outcome, SignalErrorCode},
};
use tokio_util::sync::DropGuard;

use crate::{
    clock::unix_millis,
    outbox::Outbox,
    registry::{Identity, RegisterError, Registry},
    secret::random,
    session::Registration,
    settings::SocketSettings,
};
use node::LocalNode;
use nodes::NodeId;
use record::Record;
use store::{LEASE_DURATION, Store};

pub(crate) use entry::SessionHandle;

/// Where the nodes meet.
#[derive(Clone)]
pub struct ClusterSettings {
    url: String,
    prefix: String,
}

impl ClusterSettings {
    /// `url` is `redis://` or `rediss://`, with user name and password if Redis wants them; `prefix`
    /// is what every key and channel begins with: nodes with the same prefix are one group. Returns
    /// `None` if `url` is not a valid Redis URL.
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
    /// Whether Redis has taken no beat for longer than this node's lease: the others count it as dead.
    pub lapsed: bool,
    /// Sockets here whose session is elsewhere.
    pub bridges: usize,
    /// Sessions that this node took over from others, in all.
    pub taken_over: u64,
}

/// Redis does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the servers cannot reach what they share; try again later")]
pub(crate) struct ClusterUnavailable;

/// This server as one of the group; clones share it.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<LocalNode>,
    _tasks: Arc<DropGuard>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to Redis.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not answer or takes no writes, or the URL is not valid.
    pub async fn connect(
        settings: &ClusterSettings,
        sockets: &SocketSettings,
        retention: Duration,
    ) -> Result<Self, ClusterError> {
        let random = random().map_err(|error| ClusterError(error.to_string()))?;
        let node_id = NodeId::from_bytes(random);
        let store = Store::connect(&settings.url, settings.prefix.clone())
            .await
            .map_err(|error| ClusterError(said(&error)))?;
        let node = LocalNode::new(node_id, store, sockets, retention);
        Ok(Self {
            _tasks: Arc::new(node.stop.clone().drop_guard()),
            node: Arc::new(node),
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
        tried.await.map_err(|error| ClusterError(said(&error)))
    }

    /// What this node knows of its group.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        let node = &self.node;
        ClusterStats {
            nodes: node.live_nodes.load(Ordering::Relaxed),
            connected: node.connected.load(Ordering::Relaxed)
                && node.subscribed.load(Ordering::Relaxed),
            lapsed: node.last_beat.lock().elapsed() > LEASE_DURATION,
            bridges: node.bridges.edge_count(),
            taken_over: node.taken_over.load(Ordering::Relaxed),
        }
    }

    /// Begins to beat and to listen. The first beat is awaited, so that the node can pick itself.
    pub(crate) async fn join(&self, registry: Registry) {
        self.node.set_registry(registry);
        self.node.heartbeat().await;
        tokio::spawn(self.node.clone().run_heartbeats());
        tokio::spawn(self.node.clone().run_subscription());
        tracing::info!(node = %self.node.node_id, "joined the group");
    }

    /// Gives every session to the other nodes; its clients' sockets close and come back there.
    pub(crate) async fn drain(&self) {
        self.node.drain().await;
    }

    /// Gives a new session to the least loaded node.
    pub(crate) async fn create(&self, registration: &Registration) -> Result<(), RegisterError> {
        let owner = self.node.pick(None).ok_or(RegisterError::Full)?;
        let record = Record::new(registration, owner, 1, unix_millis());
        match self.node.store.create(&record, self.node.retention).await {
            Ok(true) => self.node.adopt_or_notify(&record).await,
            Ok(false) => return Err(RegisterError::Known),
            Err(_) => return Err(RegisterError::ClusterUnavailable),
        }
        Ok(())
    }

    /// Reads a session, wherever it lives.
    pub(crate) async fn load(&self, id: SessionId) -> Result<Option<Record>, ClusterUnavailable> {
        let record = self.node.store.load(id).await;
        record.map_err(|_| ClusterUnavailable)
    }

    /// Ends a session that lives elsewhere.
    pub(crate) async fn end(&self, record: &Record, outcome: Outcome) {
        self.node.end(record, outcome).await;
    }

    /// Attaches a client whose signature the caller has checked, wherever its session is.
    pub(crate) async fn enter(
        &self,
        id: SessionId,
        identity: Identity,
        outbox: Outbox,
    ) -> Result<SessionHandle, SignalErrorCode> {
        self.node.enter(id, identity, outbox).await
    }
}

/// An error of Redis's, and what an operator can make of it.
fn said(error: &redis::RedisError) -> String {
    use redis::{ErrorKind, ServerErrorKind as Kind};
    let hint = match error.kind() {
        ErrorKind::Server(Kind::Moved | Kind::Ask | Kind::CrossSlot | Kind::ClusterDown) => {
            "; it is a part of a Redis Cluster, and authloop needs a Redis that is whole"
        }
        ErrorKind::Server(Kind::ReadOnly) => "; it is a replica: give the address of its primary",
        _ => "",
    };
    format!("{error}{hint}")
}
