//! The edge's half of a bridge: the WebSocket is here, its session elsewhere.

use std::{sync::Arc, time::Duration};

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::{
    bridges::EdgeBridge,
    node::LocalNode,
    nodes::NodeId,
    record::Record,
    wire::{BridgeId, NodeMessage, SequenceCounter, WireClosing, WireIdentity},
};
use crate::{
    outbox::{Closing, Outbox},
    refusal::explain,
    registry::Identity,
};

/// How long the owner may take to attach a client.
const BRIDGE_OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// A client's hold on a session at another node; dropping it lets go.
pub(crate) struct RemoteAttachment {
    node: Arc<LocalNode>,
    bridge: BridgeId,
    session: SessionId,
    owner: NodeId,
    sent: tokio::sync::Mutex<SequenceCounter>,
}

/// Why a client could not be attached at another node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BridgeError {
    /// The owner refused.
    Refused(SignalErrorCode),
    /// The owner is not there; the session may have moved.
    OwnerUnreachable,
}

impl RemoteAttachment {
    /// Asks the record's owner to attach a client whose signature this node has checked.
    pub(super) async fn open(
        node: &Arc<LocalNode>,
        record: &Record,
        identity: &Identity,
        outbox: Outbox,
    ) -> Result<Self, BridgeError> {
        let (opening, opened) = oneshot::channel();
        let edge = EdgeBridge {
            owner: record.owner,
            outbox,
            session: record.id,
            epoch: record.epoch,
            received: Mutex::default(),
            opening: Mutex::new(Some(opening)),
        };
        let bridge = BridgeId {
            edge: node.node_id,
            number: node.bridges.add_edge(edge),
        };
        // From here on, dropping it takes the entries away again.
        let attachment = Self {
            node: node.clone(),
            bridge,
            session: record.id,
            owner: record.owner,
            sent: tokio::sync::Mutex::default(),
        };
        let open = NodeMessage::Open {
            bridge,
            session: record.id,
            epoch: record.epoch,
            identity: WireIdentity::of(identity),
        };
        match node.publish(Some(record.owner), &open).await {
            None => return Err(BridgeError::Refused(SignalErrorCode::Internal)),
            Some(0) => {
                node.mark_suspect(record.owner);
                return Err(BridgeError::OwnerUnreachable);
            }
            Some(_) => {}
        }
        match timeout(BRIDGE_OPEN_TIMEOUT, opened).await {
            Ok(Ok(Ok(()))) => Ok(attachment),
            Ok(Ok(Err(code))) => Err(BridgeError::Refused(code)),
            Ok(Err(_)) | Err(_) => Err(BridgeError::OwnerUnreachable),
        }
    }

    /// Passes on a text of the client's.
    ///
    /// # Errors
    /// [`Closing::Restart`] when the owner does not hear it.
    pub(super) async fn forward(&self, text: &str) -> Result<(), Closing> {
        // Held over the publication, so that numbers go out in order.
        let mut sent = self.sent.lock().await;
        let message = NodeMessage::ClientText {
            bridge: self.bridge,
            n: sent.next(),
            text: text.to_owned(),
        };
        match self.node.publish(Some(self.owner), &message).await {
            Some(heard) if heard > 0 => Ok(()),
            Some(_) => {
                self.node.mark_suspect(self.owner);
                Err(Closing::Restart)
            }
            None => Err(Closing::Restart),
        }
    }
}

impl Drop for RemoteAttachment {
    fn drop(&mut self) {
        self.node
            .bridges
            .remove_edge(self.bridge.number, self.session);
        let (node, owner, bridge) = (self.node.clone(), self.owner, self.bridge);
        tokio::spawn(async move {
            node.publish(Some(owner), &NodeMessage::Gone { bridge })
                .await
        });
    }
}

impl LocalNode {
    pub(super) fn edge_opened(
        self: &Arc<Self>,
        bridge: BridgeId,
        result: Result<(), SignalErrorCode>,
    ) {
        match self.bridges.edge(bridge) {
            Some(edge) => {
                if let Some(opening) = edge.opening.lock().take() {
                    let _ = opening.send(result);
                }
            }
            // It gave up waiting: the owner must not keep an attachment for nobody.
            None => self.forget_bridge(bridge),
        }
    }

    pub(super) fn edge_receives(self: &Arc<Self>, bridge: BridgeId, n: u64, text: String) {
        let Some(edge) = self.bridges.edge(bridge) else {
            return;
        };
        if edge.received.lock().accept(n) {
            edge.outbox.send_text(text);
        } else {
            edge.outbox.close(Closing::Restart);
        }
    }

    pub(super) fn edge_closes(&self, bridge: BridgeId, closing: WireClosing) {
        if let Some(edge) = self.bridges.edge(bridge) {
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

    fn forget_bridge(self: &Arc<Self>, bridge: BridgeId) {
        let node = self.clone();
        tokio::spawn(async move { node.publish(None, &NodeMessage::Gone { bridge }).await });
    }
}
