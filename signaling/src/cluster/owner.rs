//! The owner's half of a bridge: the session is here, the WebSocket elsewhere.

use std::sync::Arc;

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use tokio::sync::mpsc;

use super::{
    bridges::OwnerBridge,
    node::LocalNode,
    wire::{BridgeId, NodeMessage, SequenceCounter, WireClosing, WireIdentity},
};
use crate::{
    outbox::{self, OutgoingFrame},
    registry::{Identity, handle_message},
    relay::Side,
};

impl LocalNode {
    pub(super) fn open_owner_bridge(
        self: &Arc<Self>,
        bridge: BridgeId,
        session: SessionId,
        epoch: u64,
        identity: &WireIdentity,
    ) {
        let side = identity.side();
        let identity = identity.read();
        let node = self.clone();
        let (Some(identity), true) = (identity, self.bridges.owner_count() < self.max_bridges)
        else {
            tokio::spawn(async move {
                let code = SignalErrorCode::Internal;
                let to = Some(bridge.edge);
                node.publish(to, &NodeMessage::Refused { bridge, code })
                    .await
            });
            return;
        };
        let (texts_tx, texts_rx) = mpsc::channel(self.max_queued_messages);
        self.bridges.add_owner(bridge, OwnerBridge::new(texts_tx));
        tokio::spawn(async move {
            let to = Some(bridge.edge);
            let served = node.serve_bridge(session, epoch, identity, bridge, side, texts_rx);
            if let Err(code) = served.await {
                node.publish(to, &NodeMessage::Refused { bridge, code })
                    .await;
            }
            node.bridges.remove_owner(bridge);
        });
    }

    /// Serves a bridge until it ends; `Err` only if the client could not be attached.
    async fn serve_bridge(
        self: &Arc<Self>,
        session: SessionId,
        epoch: u64,
        identity: Identity,
        bridge: BridgeId,
        side: Side,
        mut texts: mpsc::Receiver<String>,
    ) -> Result<(), SignalErrorCode> {
        let record = self.store.load(session).await;
        let record = record.map_err(|_| SignalErrorCode::Internal)?;
        let record = record.ok_or(SignalErrorCode::NotFound)?;
        if record.owner != self.node_id || record.epoch != epoch {
            return Err(SignalErrorCode::Internal);
        }
        self.adopt(&record);
        let (outbox, mut outbox_rx) = outbox::channel(self.max_queued_messages, &self.queued_bytes);
        let attachment = self.enter_here(session, &identity, outbox).await;
        let attachment = attachment.map_err(|code| match code {
            // Redis knows it, and this node has lost it in this moment: the client is to come again.
            SignalErrorCode::NotFound => SignalErrorCode::Internal,
            code => code,
        })?;
        let to = Some(bridge.edge);
        let mut sent = SequenceCounter::default();
        let mut receivers = self.publish(to, &NodeMessage::Opened { bridge }).await;
        while receivers.is_some_and(|receivers| receivers > 0) {
            let message = tokio::select! {
                outgoing = outbox_rx.next() => match outgoing {
                    OutgoingFrame::Text(text) => NodeMessage::ServerText {
                        bridge,
                        n: sent.next(),
                        text: text.to_string(),
                    },
                    OutgoingFrame::Close(closing) => NodeMessage::Close {
                        bridge,
                        closing: closing.into(),
                    },
                },
                text = texts.recv() => match text {
                    Some(text) => match handle_message(side, &attachment, &text).await {
                        Ok(()) => continue,
                        Err((code, _)) => NodeMessage::Close {
                            bridge,
                            closing: WireClosing::Error(code),
                        },
                    },
                    // The client has gone, or what it said got lost on the way.
                    None => NodeMessage::Close {
                        bridge,
                        closing: WireClosing::Restart,
                    },
                },
            };
            receivers = self.publish(to, &message).await;
            if matches!(message, NodeMessage::Close { .. }) {
                break;
            }
        }
        Ok(())
    }
}
