//! The owner's half of a bridge: the session is here, the WebSocket elsewhere.

use std::sync::Arc;

use authloop_protocol::{id::SessionId, signal::SignalErrorCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    Inner,
    wire::{BridgeId, Message, Numbers, WireIdentity},
};
use crate::{
    directory,
    outbox::{self, Outgoing},
    registry::{Identity, obey},
};

pub(super) struct OwnerBridge {
    said: mpsc::Sender<String>,
    numbers: Mutex<Numbers>,
}

impl Inner {
    pub(super) fn owner_opens(
        self: &Arc<Self>,
        bridge: BridgeId,
        session: SessionId,
        epoch: u64,
        identity: &WireIdentity,
    ) {
        let side = identity.side();
        let identity = identity.read();
        let inner = self.clone();
        let (Some(identity), true) = (identity, self.owners.len() < self.max_bridges) else {
            tokio::spawn(async move {
                let code = SignalErrorCode::Internal;
                let to = Some(bridge.edge);
                inner.publish(to, &Message::Refused { bridge, code }).await
            });
            return;
        };
        let (said, hears) = mpsc::channel(self.queue);
        let entry = OwnerBridge {
            said,
            numbers: Mutex::default(),
        };
        self.owners.insert(bridge, entry);
        tokio::spawn(async move {
            let to = Some(bridge.edge);
            let seated = inner.seat(session, epoch, identity, bridge, side, hears);
            if let Err(code) = seated.await {
                inner.publish(to, &Message::Refused { bridge, code }).await;
            }
            inner.owners.remove(&bridge);
        });
    }

    pub(super) fn owner_hears(&self, bridge: BridgeId, n: u64, text: String) {
        let Some(owner) = self.owners.get(&bridge) else {
            return;
        };
        let kept = owner.numbers.lock().accept(n) && owner.said.try_send(text).is_ok();
        drop(owner);
        if !kept {
            // A gap, or more than fits: the bridge ends, and the edge is told so by its task.
            self.owners.remove(&bridge);
        }
    }

    /// Serves a bridge from the client's seat to its end; `Err` only before it had one.
    async fn seat(
        self: &Arc<Self>,
        session: SessionId,
        epoch: u64,
        identity: Identity,
        bridge: BridgeId,
        side: crate::relay::Side,
        mut said: mpsc::Receiver<String>,
    ) -> Result<(), SignalErrorCode> {
        let record = self.store.load(session).await;
        let record = record.map_err(|_| SignalErrorCode::Internal)?;
        let record = record.ok_or(SignalErrorCode::NotFound)?;
        if record.owner != self.me || record.epoch != epoch {
            return Err(SignalErrorCode::Internal);
        }
        self.adopt(&record);
        let (outbox, mut outgoings) = outbox::channel(self.queue);
        let registry = self.registry();
        let attachment =
            directory::enter_here(registry, Some(self), session, identity, outbox).await?;
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
                            closing: super::wire::WireClosing::Error(code),
                        },
                    },
                    // The client has gone, or what it said got lost on the way.
                    None => Message::Close {
                        bridge,
                        closing: super::wire::WireClosing::Restart,
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
