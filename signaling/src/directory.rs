//! Where sessions are found: here, or through the group of nodes that this server is one of.

use std::sync::Arc;

use authloop_protocol::{
    device::DeviceKey,
    id::SessionId,
    signal::{Outcome, SessionStatus, SignalErrorCode},
};

use crate::{
    clock::unix_millis,
    cluster::{BridgeError, Claimed, Cluster, Inner, Record, RemoteSeat},
    outbox::{Closing, Outbox},
    registry::{Attachment, CancelError, CancelRight, Identity, RegisterError, Registry, obey},
    secret::SecretHash,
    session::Registration,
};

/// Finds sessions.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) registry: Registry,
    pub(crate) cluster: Option<Cluster>,
}

/// What a client's first message is checked against.
pub(crate) struct Known {
    pub(crate) claim_hash: SecretHash,
    pub(crate) device: Option<DeviceKey>,
    pub(crate) outcome: Option<Outcome>,
}

/// A client's seat at its session, wherever that is.
pub(crate) enum Seat {
    Here(Attachment),
    There(RemoteSeat),
}

/// Redis does not answer.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl Directory {
    pub(crate) async fn register(
        &self,
        registration: Registration,
        unix_now: u64,
    ) -> Result<Result<(), RegisterError>, Unreachable> {
        let Some(cluster) = self.cluster.as_ref().map(Cluster::inner) else {
            return Ok(self.registry.register(registration, unix_now));
        };
        let Some(owner) = cluster.pick() else {
            return Ok(Err(RegisterError::Full));
        };
        let record = Record::new(&registration, owner, 1, unix_millis());
        let created = cluster.store().create(&record, cluster.remember()).await;
        if !created.map_err(|_| Unreachable)? {
            return Ok(Err(RegisterError::Known));
        }
        cluster.settle(&record).await;
        self.registry.registered();
        Ok(Ok(()))
    }

    pub(crate) async fn status(&self, id: SessionId) -> Result<Option<SessionStatus>, Unreachable> {
        match (self.registry.status(id), &self.cluster) {
            (None, Some(cluster)) => Ok(load(cluster, id).await?.map(|record| record.status())),
            (status, _) => Ok(status),
        }
    }

    pub(crate) async fn cancel(
        &self,
        id: SessionId,
        right: &CancelRight,
    ) -> Result<Result<(), CancelError>, Unreachable> {
        match (self.registry.cancel(id, right), &self.cluster) {
            (Err(CancelError::Unknown), Some(cluster)) => {
                let Some(record) = load(cluster, id).await? else {
                    return Ok(Err(CancelError::Unknown));
                };
                if !right.holds(&record.host_token) {
                    return Ok(Err(CancelError::Unauthorized));
                }
                match record.outcome {
                    None => cluster.inner().end(&record, Outcome::Cancelled).await,
                    Some(Outcome::Cancelled) => {}
                    Some(outcome) => return Ok(Err(CancelError::Ended(outcome))),
                }
                Ok(Ok(()))
            }
            (result, _) => Ok(result),
        }
    }

    /// What is known of a session.
    pub(crate) async fn known(&self, id: SessionId) -> Result<Known, SignalErrorCode> {
        if let Some(known) = self.registry.known(id) {
            return Ok(known);
        }
        let cluster = self.cluster.as_ref().ok_or(SignalErrorCode::NotFound)?;
        let record = load(cluster, id).await;
        let record = record.map_err(|_| SignalErrorCode::Internal)?;
        let record = record.ok_or(SignalErrorCode::NotFound)?;
        Ok(Known {
            claim_hash: record.claim_hash,
            device: record.device,
            outcome: record.outcome,
        })
    }

    /// Seats a client whose signature the caller has checked.
    pub(crate) async fn enter(
        &self,
        id: SessionId,
        identity: Identity,
        outbox: Outbox,
    ) -> Result<Seat, SignalErrorCode> {
        let registry = &self.registry;
        let Some(cluster) = self.cluster.as_ref().map(Cluster::inner) else {
            let attachment = enter_here(registry, None, id, identity, outbox).await?;
            return Ok(Seat::Here(attachment));
        };
        // A session that moves meanwhile is looked for again; the client would only come back.
        for _ in 0..3 {
            let record = cluster.store().load(id).await;
            let record = match record {
                Ok(Some(record)) => record,
                // Redis has forgotten it, or does not answer: who is here already is served all the same.
                Ok(None) | Err(_) if registry.epoch(id).is_some() => {
                    cluster.audit_one(id).await;
                    let here = enter_here(registry, Some(cluster), id, identity, outbox).await?;
                    return Ok(Seat::Here(here));
                }
                Ok(None) => return Err(SignalErrorCode::NotFound),
                Err(_) => return Err(SignalErrorCode::Internal),
            };
            if record.outcome.is_some() {
                return Err(SignalErrorCode::Ended);
            }
            let record = cluster.owner_of(record).await;
            let record = record.ok_or(SignalErrorCode::Internal)?;
            if record.owner == cluster.me() {
                cluster.adopt(&record);
                let here = enter_here(registry, Some(cluster), id, identity, outbox).await?;
                return Ok(Seat::Here(here));
            }
            match RemoteSeat::open(cluster, &record, &identity, outbox.clone()).await {
                Ok(seat) => return Ok(Seat::There(seat)),
                Err(BridgeError::Refused(code)) => return Err(code),
                Err(BridgeError::Unheard) => {}
            }
        }
        Err(SignalErrorCode::Internal)
    }
}

/// Seats a client at a session of this node's.
pub(crate) async fn enter_here(
    registry: &Registry,
    cluster: Option<&Arc<Inner>>,
    id: SessionId,
    identity: Identity,
    outbox: Outbox,
) -> Result<Attachment, SignalErrorCode> {
    match identity {
        Identity::Host { token } => registry.attach_host(id, &token, outbox),
        Identity::Claim {
            token,
            device,
            wish,
        } => {
            if let Some(cluster) = cluster {
                claim_for_all(registry, cluster, id, &device).await?;
            }
            registry.claim(id, &token, device, wish, |_| true, outbox)
        }
        Identity::Resume { device } => registry.resume(id, |winner| *winner == device, outbox),
    }
}

/// Wins a session for a device in the eyes of all nodes, before this one lets it in.
async fn claim_for_all(
    registry: &Registry,
    cluster: &Arc<Inner>,
    id: SessionId,
    device: &DeviceKey,
) -> Result<(), SignalErrorCode> {
    if !registry.is_unclaimed(id) {
        return Ok(());
    }
    let epoch = registry.epoch(id).ok_or(SignalErrorCode::NotFound)?;
    let claimed = cluster.store().claim(id, cluster.me(), epoch, device).await;
    match claimed.map_err(|_| SignalErrorCode::Internal)? {
        Claimed::Won => Ok(()),
        Claimed::Other => {
            registry.second_claim(id);
            Err(SignalErrorCode::AlreadyClaimed)
        }
        Claimed::Ended => Err(SignalErrorCode::Ended),
        Claimed::Unknown => Err(SignalErrorCode::Internal),
        Claimed::Fenced => {
            cluster.lost(id);
            Err(SignalErrorCode::Internal)
        }
    }
}

impl Seat {
    /// Does what one message asks, or passes it on.
    pub(crate) async fn obey(&self, side: crate::relay::Side, text: &str) -> Result<(), Closing> {
        match self {
            Self::Here(attachment) => obey(side, attachment, text)
                .await
                .map_err(|(code, message)| Closing::Error(code, message)),
            Self::There(seat) => seat.say(text).await,
        }
    }
}

async fn load(cluster: &Cluster, id: SessionId) -> Result<Option<Record>, Unreachable> {
    let record = cluster.inner().store().load(id).await;
    record.map_err(|_| Unreachable)
}
