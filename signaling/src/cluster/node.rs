//! This process as one node of the group: what it holds, and what its tasks and sockets share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use authloop_protocol::{id::SessionId, signal::Outcome};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    bridges::Bridges,
    nodes::{NodeId, Nodes},
    record::Record,
    store::Store,
    wire::NodeMessage,
};
use crate::{
    byte_budget::ByteBudget,
    clock::unix_millis,
    registry::{RecordChange, Registry},
    settings::SocketSettings,
};

/// How often a change is written again, a second apart, while Redis does not answer.
const MAX_WRITE_ATTEMPTS: usize = 10;
/// The pause between two of them.
const WRITE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct LocalNode {
    pub(super) node_id: NodeId,
    pub(super) store: Store,
    registry: OnceLock<Registry>,
    started: Instant,
    pub(super) nodes: Mutex<Nodes>,
    /// Nodes that beat, this one included.
    pub(super) live_nodes: AtomicUsize,
    pub(super) bridges: Bridges,
    pub(super) max_bridges: usize,
    pub(super) max_queued_messages: usize,
    /// Bytes that may wait for all bridges together.
    pub(super) queued_bytes: ByteBudget,
    pub(super) retention: Duration,
    /// It takes no sessions any more: it is going down.
    pub(super) closed: AtomicBool,
    pub(super) connected: AtomicBool,
    pub(super) last_beat: Mutex<Instant>,
    pub(super) subscribed: AtomicBool,
    /// Redis has not yet said of every session here that it still is this node's.
    pub(super) unreconciled: AtomicBool,
    pub(super) taken_over: AtomicU64,
    pub(super) stop: CancellationToken,
}

impl LocalNode {
    pub(super) fn new(
        node_id: NodeId,
        store: Store,
        sockets: &SocketSettings,
        retention: Duration,
    ) -> Self {
        Self {
            node_id,
            store,
            registry: OnceLock::new(),
            started: Instant::now(),
            nodes: Mutex::new(Nodes::new(node_id)),
            live_nodes: AtomicUsize::new(0),
            bridges: Bridges::default(),
            max_bridges: sockets.max_sockets,
            max_queued_messages: sockets.max_queued_messages,
            queued_bytes: ByteBudget::new(sockets.max_queued_bytes),
            retention,
            closed: AtomicBool::new(false),
            connected: AtomicBool::new(true),
            last_beat: Mutex::new(Instant::now()),
            subscribed: AtomicBool::new(false),
            unreconciled: AtomicBool::new(false),
            taken_over: AtomicU64::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Takes the registry whose sessions this node holds, and writes what changes there.
    pub(super) fn set_registry(self: &Arc<Self>, registry: Registry) {
        let weak = Arc::downgrade(self);
        registry.on_change(move |id, change| {
            if let Some(node) = weak.upgrade() {
                tokio::spawn(async move { node.write(id, change).await });
            }
        });
        let _ = self.registry.set(registry);
    }

    pub(super) fn registry(&self) -> &Registry {
        // `Cluster::join` sets it before any task or socket can come here.
        #[expect(clippy::expect_used, reason = "set once, before any use")]
        self.registry.get().expect("joined")
    }

    /// The time, as [`Nodes`] takes it.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The least loaded node that takes sessions; `None` when all are full.
    pub(super) fn pick(&self, except: Option<NodeId>) -> Option<NodeId> {
        self.nodes.lock().pick(self.uptime(), except)
    }

    pub(super) fn is_live(&self, node: NodeId) -> bool {
        self.nodes.lock().is_live(node, self.uptime())
    }

    /// Nobody listens at that node's channel.
    pub(super) fn mark_suspect(&self, node: NodeId) {
        self.nodes.lock().mark_suspect(node, self.uptime());
        self.bridges.close_all_of(&[node]);
    }

    /// What Redis should hold of an open session here.
    pub(super) fn record(&self, id: SessionId) -> Option<Record> {
        let registration = self.registry().registration(id)?;
        let (epoch, created_unix_ms) = (registration.epoch, registration.created_unix_ms);
        Some(Record::new(
            &registration,
            self.node_id,
            epoch,
            created_unix_ms,
        ))
    }

    /// Makes sure that this node, the record's owner, has the session in memory.
    pub(super) fn adopt(&self, record: &Record) {
        let (now, unix_millis) = (Instant::now(), unix_millis());
        let registration = record.registration(now, unix_millis / 1000);
        self.registry().adopt(registration, now, unix_millis);
    }

    /// Tells a new session's owner, if it is not this node, so that its expiry is somebody's care.
    pub(super) async fn adopt_or_notify(&self, record: &Record) {
        if record.owner == self.node_id {
            self.adopt(record);
        } else {
            let session = record.id;
            self.publish(Some(record.owner), &NodeMessage::Adopt { session })
                .await;
        }
    }

    /// The live owner of a session: as recorded, or the least loaded node after the recorded one
    /// died. `None` when Redis does not answer or nobody takes it.
    pub(super) async fn live_owner(&self, mut record: Record) -> Option<Record> {
        if self.is_live(record.owner) {
            return Some(record);
        }
        // This node's own list may be older than that owner. Two nodes that each take a session from the
        // other by an old list would send its clients to and fro.
        if !self.heartbeat().await {
            return None;
        }
        // Somebody else may win the same move; then what they wrote counts.
        for _ in 0..3 {
            if self.is_live(record.owner) {
                return Some(record);
            }
            let new_owner = self.pick(Some(record.owner))?;
            if self.store.change_owner(&record, new_owner).await.ok()? {
                tracing::info!(session = %record.id, from = %record.owner, to = %new_owner, "session moves");
                self.announce_move(record.id, record.epoch + 1, new_owner)
                    .await;
            }
            record = self.store.load(record.id).await.ok()??;
        }
        None
    }

    pub(super) async fn announce_move(&self, session: SessionId, epoch: u64, to: NodeId) {
        if to == self.node_id {
            self.taken_over.fetch_add(1, Ordering::Relaxed);
        } else {
            self.publish(Some(to), &NodeMessage::Adopt { session })
                .await;
        }
        self.publish(None, &NodeMessage::Moved { session, epoch })
            .await;
    }

    /// Ends a session that lives elsewhere.
    pub(super) async fn end(&self, record: &Record, outcome: Outcome) {
        self.write(record.id, RecordChange::Ended(outcome)).await;
        let session = record.id;
        self.publish(Some(record.owner), &NodeMessage::Ended { session, outcome })
            .await;
    }

    /// Says something to one node or to all; how many heard it, `None` when Redis does not answer.
    pub(super) async fn publish(&self, to: Option<NodeId>, message: &NodeMessage) -> Option<usize> {
        let text = serde_json::to_string(message).ok()?;
        match self.store.publish(to, text).await {
            Ok(heard) => Some(heard),
            Err(error) => {
                tracing::debug!(%error, "Redis took no publication");
                None
            }
        }
    }

    async fn write(&self, id: SessionId, change: RecordChange) {
        for _ in 0..MAX_WRITE_ATTEMPTS {
            let written = match change {
                RecordChange::Ended(outcome) => self.store.end(id, outcome, self.retention).await,
                RecordChange::Device => match self.record(id) {
                    Some(record) => self.store.set_device(&record).await,
                    None => return,
                },
            };
            match written {
                Ok(()) => return,
                Err(_) => tokio::time::sleep(WRITE_RETRY_INTERVAL).await,
            }
        }
        tracing::warn!(session = %id, ?change, "Redis never heard of it");
    }
}
