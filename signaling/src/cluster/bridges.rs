//! The bridges that end at this node, both the edges' and the owners' halves.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{
    nodes::NodeId,
    wire::{BridgeId, SequenceCounter},
};
use crate::outbox::{Closing, Outbox};

/// Every bridge that ends here.
#[derive(Default)]
pub(super) struct Bridges {
    edges: DashMap<u64, Arc<EdgeBridge>>,
    edges_of: DashMap<SessionId, HashSet<u64>>,
    owners: DashMap<BridgeId, OwnerBridge>,
    next_number: AtomicU64,
}

/// The edge's half: the WebSocket is here.
pub(super) struct EdgeBridge {
    pub(super) owner: NodeId,
    pub(super) outbox: Outbox,
    pub(super) session: SessionId,
    pub(super) epoch: u64,
    pub(super) received: Mutex<SequenceCounter>,
    pub(super) opening: Mutex<Option<oneshot::Sender<Result<(), SignalErrorCode>>>>,
}

/// The owner's half: the session is here.
pub(super) struct OwnerBridge {
    texts: mpsc::Sender<String>,
    received: Mutex<SequenceCounter>,
}

impl OwnerBridge {
    pub(super) fn new(texts: mpsc::Sender<String>) -> Self {
        Self {
            texts,
            received: Mutex::default(),
        }
    }
}

impl Bridges {
    pub(super) fn edge_count(&self) -> usize {
        self.edges.len()
    }

    pub(super) fn owner_count(&self) -> usize {
        self.owners.len()
    }

    /// Adds the edge's half of a bridge; returns its number at this node.
    pub(super) fn add_edge(&self, edge: EdgeBridge) -> u64 {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let session = edge.session;
        self.edges.insert(number, Arc::new(edge));
        self.edges_of.entry(session).or_default().insert(number);
        number
    }

    pub(super) fn remove_edge(&self, number: u64, session: SessionId) {
        self.edges.remove(&number);
        self.edges_of.remove_if_mut(&session, |_, numbers| {
            numbers.remove(&number);
            numbers.is_empty()
        });
    }

    pub(super) fn edge(&self, bridge: BridgeId) -> Option<Arc<EdgeBridge>> {
        let edge = self.edges.get(&bridge.number)?;
        Some(edge.value().clone())
    }

    /// Sends the clients away whose session has moved on from what their bridges lead to.
    pub(super) fn close_edges_of(&self, session: SessionId, epoch: u64) {
        let numbers = self.edges_of.get(&session);
        let numbers: Vec<u64> =
            numbers.map_or_else(Vec::new, |found| found.iter().copied().collect());
        for number in numbers {
            let edge = self.edges.get(&number).map(|edge| edge.value().clone());
            if let Some(edge) = edge.filter(|edge| edge.session == session && edge.epoch < epoch) {
                edge.outbox.close(Closing::Restart);
            }
        }
    }

    pub(super) fn add_owner(&self, bridge: BridgeId, owner: OwnerBridge) {
        self.owners.insert(bridge, owner);
    }

    pub(super) fn remove_owner(&self, bridge: BridgeId) {
        self.owners.remove(&bridge);
    }

    /// Hands a client's text to the task that serves its bridge.
    pub(super) fn accept_client_text(&self, bridge: BridgeId, n: u64, text: String) {
        let Some(owner) = self.owners.get(&bridge) else {
            return;
        };
        let kept = owner.received.lock().accept(n) && owner.texts.try_send(text).is_ok();
        drop(owner);
        if !kept {
            // A gap, or more than fits: the bridge ends, and the edge is told so by its task.
            self.owners.remove(&bridge);
        }
    }

    /// Ends the bridges to nodes that have gone.
    pub(super) fn close_all_of(&self, gone: &[NodeId]) {
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

    pub(super) fn close_all(&self) {
        self.owners.clear();
        for edge in &self.edges {
            edge.outbox.close(Closing::Restart);
        }
    }
}
