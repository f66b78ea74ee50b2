//! The owner's half of a bridge: the session is here, the WebSocket elsewhere.

use std::sync::Arc;

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use tokio::sync::mpsc;

use super::{
    bridges::OwnerBridge,
    node::LocalNode,
    wire::{BridgeId, Message, Numbers, WireClosing, WireIdentity},
};
use crate::{
    outbox::{self, Outgoing},
    registry::{Identity, obey},
    relay::Side,
};

impl LocalNode {
    pub(super) fn owner_opens(
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
                node.publish(to, &Message::Refused { bridge, code }).await
            });
            return;
        };
        let (said, hears) = mpsc::channel(self.queue);
        self.bridges.add_owner(bridge, OwnerBridge::new(said));
        tokio::spawn(async move {
            let to = Some(bridge.edge);
            let seated = node.serve_bridge(session, epoch, identity, bridge, side, hears);
            if let Err(code) = seated.await {
                node.publish(to, &Message::Refused { bridge, code }).await;
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
        mut said: mpsc::Receiver<String>,
    ) -> Result<(), SignalErrorCode> {
        let record = self.store.load(session).await;
        let record = record.map_err(|_| SignalErrorCode::Internal)?;
        let record = record.ok_or(SignalErrorCode::NotFound)?;
        if record.owner != self.node_id || record.epoch != epoch {
            return Err(SignalErrorCode::Internal);
        }
        self.adopt(&record);
        let (outbox, mut outgoings) = outbox::channel(self.queue);
        let attachment = self.enter_here(session, identity, outbox).await?;
        let to = Some(bridge.edge);
        let mut told = Numbers::default();
        let mut heard = self.publish(to, &Message::Opened { bridge }).await;
        while heard.is_some_and(|heard| heard > 0) {
            let message = tokio::select! {
                outgoing = outgoings.next() => match outgoing {
                    Outgoing::Text(text) => Message::Tell {
                        bridge,
                        n: told.next(),
                        text: text.to_string(),
                    },
                    Outgoing::Close(closing) => Message::Close {
                        bridge,
                        closing: closing.into(),
                    },
                },
                text = said.recv() => match text {
                    Some(text) => match obey(side, &attachment, &text).await {
                        Ok(()) => continue,
                        Err((code, _)) => Message::Close {
                            bridge,
                            closing: WireClosing::Error(code),
                        },
                    },
                    // The client has gone, or what it said got lost on the way.
                    None => Message::Close {
                        bridge,
                        closing: WireClosing::Restart,
                    },
                },
            };
            heard = self.publish(to, &message).await;
            if matches!(message, Message::Close { .. }) {
                break;
            }
        }
        Ok(())
    }
}
