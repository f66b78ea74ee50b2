//! Where sessions are found: here, or through the group of nodes that this server is one of.

use authloop_protocol::{
    id::SessionId,
    signal::{Outcome, SessionStatus, SignalErrorCode},
};

use crate::{
    cluster::{Cluster, ClusterUnavailable, SessionHandle},
    outbox::Outbox,
    registry::{
        CancelError, CancelRight, ClaimPermit, ClientCredentials, Identity, RegisterError, Registry,
    },
    session::Registration,
};

/// Finds sessions.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) registry: Registry,
    pub(crate) cluster: Option<Cluster>,
}

impl Directory {
    pub(crate) async fn register(
        &self,
        registration: Registration,
        unix_now: u64,
    ) -> Result<(), RegisterError> {
        let Some(cluster) = &self.cluster else {
            return self.registry.register(registration, unix_now);
        };
        cluster.create(&registration).await?;
        self.registry.registered();
        Ok(())
    }

    pub(crate) async fn status(
        &self,
        id: SessionId,
    ) -> Result<Option<SessionStatus>, ClusterUnavailable> {
        match (self.registry.status(id), &self.cluster) {
            (None, Some(cluster)) => Ok(cluster.load(id).await?.map(|record| record.status())),
            (status, _) => Ok(status),
        }
    }

    pub(crate) async fn cancel(
        &self,
        id: SessionId,
        right: &CancelRight,
    ) -> Result<(), CancelError> {
        match (self.registry.cancel(id, right), &self.cluster) {
            (Err(CancelError::Unknown), Some(cluster)) => {
                let record = cluster.load(id).await;
                let record =
                    record.map_err(|ClusterUnavailable| CancelError::ClusterUnavailable)?;
                let record = record.ok_or(CancelError::Unknown)?;
                if !right.holds(&record.host_token) {
                    return Err(CancelError::Unauthorized);
                }
                match record.outcome {
                    None => cluster.end(&record, Outcome::Cancelled).await,
                    Some(Outcome::Cancelled) => {}
                    Some(outcome) => return Err(CancelError::Ended(outcome)),
                }
                Ok(())
            }
            (result, _) => result,
        }
    }

    /// What a client of this session must prove.
    pub(crate) async fn credentials(
        &self,
        id: SessionId,
    ) -> Result<ClientCredentials, SignalErrorCode> {
        if let Some(credentials) = self.registry.credentials(id) {
            return Ok(credentials);
        }
        let cluster = self.cluster.as_ref().ok_or(SignalErrorCode::NotFound)?;
        let record = cluster.load(id).await;
        let record = record.map_err(|ClusterUnavailable| SignalErrorCode::Internal)?;
        let record = record.ok_or(SignalErrorCode::NotFound)?;
        Ok(ClientCredentials {
            claim_hash: record.claim_hash,
            device: record.device,
            outcome: record.outcome,
        })
    }

    /// Attaches a client whose signature the caller has checked.
    pub(crate) async fn enter(
        &self,
        id: SessionId,
        identity: Identity,
        outbox: Outbox,
    ) -> Result<SessionHandle, SignalErrorCode> {
        match &self.cluster {
            None => {
                let attachment =
                    self.registry
                        .enter(id, identity, ClaimPermit::SingleNode, outbox)?;
                Ok(SessionHandle::Local(attachment))
            }
            Some(cluster) => cluster.enter(id, identity, outbox).await,
        }
    }
}
