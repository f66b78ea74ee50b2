//! How a client comes to its session, at this node or over a bridge to another.

use std::sync::Arc;

use authloop_protocol::{device::DeviceKey, id::SessionId, signal::SignalErrorCode};

use super::{
    edge::{BridgeError, RemoteAttachment},
    node::LocalNode,
    store::StoreClaimOutcome,
};
use crate::{
    outbox::{Closing, Outbox},
    registry::{Attachment, ClaimPermit, Identity, handle_message},
    relay::Side,
};

/// How often a session that moves meanwhile is looked for again; the client would only come back.
const MAX_ATTEMPTS: usize = 3;

/// A client's hold on its session, wherever that is.
pub(crate) enum SessionHandle {
    Local(Attachment),
    Remote(RemoteAttachment),
}

impl SessionHandle {
    /// Does what one message asks, or passes it on.
    pub(crate) async fn handle_message(&self, side: Side, text: &str) -> Result<(), Closing> {
        match self {
            Self::Local(attachment) => handle_message(side, attachment, text)
                .await
                .map_err(|(code, message)| Closing::Error(code, message)),
            Self::Remote(attachment) => attachment.forward(text).await,
        }
    }
}

impl LocalNode {
    /// Attaches a client whose signature the caller has checked, wherever its session is.
    pub(super) async fn enter(
        self: &Arc<Self>,
        id: SessionId,
        identity: Identity,
        outbox: Outbox,
    ) -> Result<SessionHandle, SignalErrorCode> {
        for _ in 0..MAX_ATTEMPTS {
            let record = match self.store.load(id).await {
                Ok(Some(record)) => record,
                // Redis has forgotten it, or does not answer: who is here already is served all the same.
                Ok(None) | Err(_) if self.registry().epoch(id).is_some() => {
                    self.reconcile_session(id).await;
                    match self.enter_here(id, &identity, outbox.clone()).await {
                        Err(SignalErrorCode::NotFound) => continue,
                        here => return here.map(SessionHandle::Local),
                    }
                }
                Ok(None) => return Err(SignalErrorCode::NotFound),
                Err(_) => return Err(SignalErrorCode::Internal),
            };
            if record.outcome.is_some() {
                return Err(SignalErrorCode::Ended);
            }
            let record = self.live_owner(record).await;
            let record = record.ok_or(SignalErrorCode::Internal)?;
            if record.owner == self.node_id {
                self.adopt(&record);
                match self.enter_here(id, &identity, outbox.clone()).await {
                    // Lost to another node in this moment: the record says where it is.
                    Err(SignalErrorCode::NotFound) => continue,
                    here => return here.map(SessionHandle::Local),
                }
            }
            match RemoteAttachment::open(self, &record, &identity, outbox.clone()).await {
                Ok(remote) => return Ok(SessionHandle::Remote(remote)),
                Err(BridgeError::Refused(code)) => return Err(code),
                Err(BridgeError::OwnerUnreachable) => {}
            }
        }
        Err(SignalErrorCode::Internal)
    }

    /// Attaches a client to a session of this node's.
    ///
    /// # Errors
    /// [`SignalErrorCode::NotFound`] if it is here no more: that says nothing of the other nodes.
    pub(super) async fn enter_here(
        self: &Arc<Self>,
        id: SessionId,
        identity: &Identity,
        outbox: Outbox,
    ) -> Result<Attachment, SignalErrorCode> {
        let permit = match identity {
            Identity::Claim { device, .. } => self.claim_for_all(id, device).await?,
            Identity::Host { .. } | Identity::Resume { .. } => ClaimPermit::None,
        };
        self.registry().enter(id, identity.clone(), permit, outbox)
    }

    /// Wins a session for a device in the eyes of all nodes, before this one lets it in.
    async fn claim_for_all(
        self: &Arc<Self>,
        id: SessionId,
        device: &DeviceKey,
    ) -> Result<ClaimPermit, SignalErrorCode> {
        let registry = self.registry();
        if !registry.is_unclaimed(id) {
            return Ok(ClaimPermit::None);
        }
        let epoch = registry.epoch(id).ok_or(SignalErrorCode::NotFound)?;
        let claimed = self.store.claim(id, self.node_id, epoch, device).await;
        match claimed.map_err(|_| SignalErrorCode::Internal)? {
            StoreClaimOutcome::Won => Ok(ClaimPermit::WonAt(epoch)),
            StoreClaimOutcome::Other => {
                registry.second_claim(id);
                Err(SignalErrorCode::AlreadyClaimed)
            }
            StoreClaimOutcome::Ended => Err(SignalErrorCode::Ended),
            StoreClaimOutcome::Unknown => Err(SignalErrorCode::Internal),
            StoreClaimOutcome::Fenced => {
                self.on_owner_lost(id);
                Err(SignalErrorCode::Internal)
            }
        }
    }
}
