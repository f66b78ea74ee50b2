//! The edge's half of a bridge: the WebSocket is here, its session elsewhere.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::{
    Inner,
    nodes::NodeId,
    record::Record,
    wire::{BridgeId, Message, Numbers, WireClosing, WireIdentity},
};
use crate::{
    outbox::{Closing, Outbox},
    refusal::explain,
    registry::Identity,
};

/// How long the owner may take to seat a client.
const OPENING: Duration = Duration::from_secs(2);

pub(super) struct EdgeBridge {
    pub(super) owner: NodeId,
    pub(super) outbox: Outbox,
    session: SessionId,
    epoch: u64,
    told: Mutex<Numbers>,
    opening: Mutex<Option<oneshot::Sender<Result<(), SignalErrorCode>>>>,
}

/// A client's seat at another node; dropping it leaves the seat.
pub(crate) struct RemoteSeat {
    inner: Arc<Inner>,
    bridge: BridgeId,
    session: SessionId,
    owner: NodeId,
    said: tokio::sync::Mutex<Numbers>,
}

/// Why a client could not be seated at another node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BridgeError {
    /// The owner refused.
    Refused(SignalErrorCode),
    /// The owner is not there; the session may have moved.
    Unheard,
}

impl RemoteSeat {
    /// Asks the record's owner to seat a client whose word this node has checked.
    pub(crate) async fn open(
        inner: &Arc<Inner>,
        record: &Record,
        identity: &Identity,
        outbox: Outbox,
    ) -> Result<Self, BridgeError> {
        let number = inner.next_bridge.fetch_add(1, Ordering::Relaxed);
        let bridge = BridgeId {
            edge: inner.me,
            number,
        };
        let (opening, opened) = oneshot::channel();
        let edge = EdgeBridge {
            owner: record.owner,
            outbox,
            session: record.id,
            epoch: record.epoch,
            told: Mutex::default(),
            opening: Mutex::new(Some(opening)),
        };
        inner.edges.insert(number, Arc::new(edge));
        inner.edges_of.entry(record.id).or_default().insert(number);
        // From here on, dropping it takes the entries away again.
        let seat = Self {
            inner: inner.clone(),
            bridge,
            session: record.id,
            owner: record.owner,
            said: tokio::sync::Mutex::default(),
        };
        let open = Message::Open {
            bridge,
            session: record.id,
            epoch: record.epoch,
            identity: WireIdentity::of(identity),
        };
        match inner.publish(Some(record.owner), &open).await {
            None => return Err(BridgeError::Refused(SignalErrorCode::Internal)),
            Some(0) => {
                inner.suspect(record.owner);
                return Err(BridgeError::Unheard);
            }
            Some(_) => {}
        }
        match timeout(OPENING, opened).await {
            Ok(Ok(Ok(()))) => Ok(seat),
            Ok(Ok(Err(code))) => Err(BridgeError::Refused(code)),
            Ok(Err(_)) | Err(_) => Err(BridgeError::Unheard),
        }
    }

    /// Passes on what the client said.
    ///
    /// # Errors
    /// [`Closing::Restart`] when the owner does not hear it.
    pub(crate) async fn say(&self, text: &str) -> Result<(), Closing> {
        // Held over the publication, so that numbers go out in order.
        let mut said = self.said.lock().await;
        let message = Message::Said {
            bridge: self.bridge,
            n: said.next(),
            text: text.to_owned(),
        };
        match self.inner.publish(Some(self.owner), &message).await {
            Some(heard) if heard > 0 => Ok(()),
            Some(_) => {
                self.inner.suspect(self.owner);
                Err(Closing::Restart)
            }
            None => Err(Closing::Restart),
        }
    }
}

impl Drop for RemoteSeat {
    fn drop(&mut self) {
        self.inner.edges.remove(&self.bridge.number);
        let inner = &self.inner;
        inner.edges_of.remove_if_mut(&self.session, |_, numbers| {
            numbers.remove(&self.bridge.number);
            numbers.is_empty()
        });
        let (inner, owner, bridge) = (inner.clone(), self.owner, self.bridge);
        tokio::spawn(async move { inner.publish(Some(owner), &Message::Gone { bridge }).await });
    }
}

impl Inner {
    pub(super) fn edge_opened(
        self: &Arc<Self>,
        bridge: BridgeId,
        result: Result<(), SignalErrorCode>,
    ) {
        match self.edge(bridge) {
            Some(edge) => {
                if let Some(opening) = edge.opening.lock().take() {
                    let _ = opening.send(result);
                }
            }
            // It gave up waiting: the owner must not hold a seat for nobody.
            None => self.forget_bridge(bridge),
        }
    }

    pub(super) fn edge_tells(self: &Arc<Self>, bridge: BridgeId, n: u64, text: String) {
        let Some(edge) = self.edge(bridge) else {
            return;
        };
        if edge.told.lock().accept(n) {
            edge.outbox.send_text(text);
        } else {
            edge.outbox.close(Closing::Restart);
        }
    }

    pub(super) fn edge_closes(&self, bridge: BridgeId, closing: WireClosing) {
        if let Some(edge) = self.edge(bridge) {
            edge.outbox.close(match closing {
                WireClosing::Normal => Closing::Normal,
                WireClosing::Restart => Closing::Restart,
                WireClosing::Error(code) => {
                    let (code, message) = explain(code);
                    Closing::Error(code, message)
                }
            });
        }
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

    fn edge(&self, bridge: BridgeId) -> Option<Arc<EdgeBridge>> {
        let edge = self.edges.get(&bridge.number)?;
        Some(edge.value().clone())
    }

    fn forget_bridge(self: &Arc<Self>, bridge: BridgeId) {
        let inner = self.clone();
        tokio::spawn(async move { inner.publish(None, &Message::Gone { bridge }).await });
    }
}
