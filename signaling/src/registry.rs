//! The sessions of one server, in memory.
//!
//! Everything outside speaks to it in whole operations (register, attach, claim, forward, end), so
//! that a registry shared by several servers can take its place. A session is changed under its own
//! lock; the map is never touched while one is held.

mod attachment;
mod messages;
mod migration;
mod shared;

use std::sync::{Arc, atomic::Ordering};

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::SessionId,
    signal::{Outcome, SessionState, SessionStatus, SignalErrorCode},
};
use dashmap::Entry as MapEntry;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    api_keys::Caller,
    audit::AuditEvent,
    observer::{Observer, SignalingEvent},
    outbox::Outbox,
    relay::{LegEvent, Relay, Side},
    session::{ClaimOutcome, ClaimRequest, Registration, Session},
    settings::RegistrySettings,
};
use shared::{Shared, SharedSession, run_timers};

pub(crate) use attachment::Attachment;
pub(crate) use messages::{handle_message, parse, take_commitment};
pub(crate) use shared::RecordChange;

/// The sessions of one server; clones share them.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    _timer: Arc<DropGuard>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// How many sessions are in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCounts {
    /// Registered and not claimed.
    pub created: usize,
    /// Claimed and not over.
    pub claimed: usize,
    /// Over and still remembered.
    pub ended: usize,
}

/// Why a session was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error("a session with this id is already registered")]
    Known,
    #[error("this server holds as many sessions as it may; try again later")]
    Full,
    #[error("the servers cannot reach what they share; try again later")]
    ClusterUnavailable,
}

/// Why a session was not ended over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CancelError {
    #[error("there is no such session")]
    Unknown,
    #[error(
        "ending a session needs its own host token, or an API key with the scope `sessions:end`"
    )]
    Unauthorized,
    #[error("the session had already ended")]
    Ended(Outcome),
    #[error("the servers cannot reach what they share; try again later")]
    ClusterUnavailable,
}

/// By what right a session is ended over HTTP.
pub(crate) enum CancelRight {
    /// The session's own host token.
    Host(SecretHash),
    /// An API key that may end any session.
    Key(Caller),
}

impl CancelRight {
    pub(crate) fn holds(&self, host_token: &SecretHash) -> bool {
        match self {
            Self::Host(token) => host_token.matches(token),
            Self::Key(_) => true,
        }
    }
}

/// What a client's first message is checked against.
pub(crate) struct ClientCredentials {
    pub(crate) claim_hash: SecretHash,
    pub(crate) device: Option<DeviceKey>,
    pub(crate) outcome: Option<Outcome>,
}

/// Who a client proved to be.
#[derive(Clone)]
pub(crate) enum Identity {
    Host {
        token: SecretHash,
    },
    /// A device that knows the link, and signed.
    Claim {
        token: SecretHash,
        device: DeviceKey,
        request: ClaimRequest,
    },
    /// The device that won, and signed again.
    Resume {
        device: DeviceKey,
    },
}

/// A device's wish to have the session.
pub(crate) struct Claim {
    pub(crate) device: DeviceKey,
    pub(crate) request: ClaimRequest,
    pub(crate) permit: ClaimPermit,
}

/// By what right a device may be the first to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimPermit {
    /// This node is the only one.
    SingleNode,
    /// All nodes agreed on this device, while this one owned the session at this epoch.
    WonAt(u64),
    /// None: the session is claimed, as far as this node knows.
    None,
}

impl ClaimPermit {
    fn is_for(self, epoch: u64) -> bool {
        match self {
            Self::SingleNode => true,
            Self::WonAt(won) => won == epoch,
            Self::None => false,
        }
    }
}

impl Registry {
    pub(crate) fn start(
        settings: RegistrySettings,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings, relay, observer));
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(run_timers(shared.clone())),
        );
        Self {
            shared,
            _timer: Arc::new(stop.drop_guard()),
        }
    }

    /// How many sessions are in each state.
    #[must_use]
    pub fn counts(&self) -> SessionCounts {
        SessionCounts {
            created: self.shared.created.load(Ordering::Relaxed),
            claimed: self.shared.claimed.load(Ordering::Relaxed),
            ended: self.shared.ended.load(Ordering::Relaxed),
        }
    }

    /// Takes the relay's word of a leg: one that was lost gets new credentials at once, which its
    /// side learns from the `ice` message that brings them.
    pub fn leg_event(&self, id: SessionId, side: Side, event: LegEvent) {
        if let Some(session) = self.shared.find(id)
            && session.lock().leg_event(side, event)
        {
            tokio::spawn(self.shared.clone().restart_leg(session, id, side));
        }
    }

    pub(crate) fn register(
        &self,
        registration: Registration,
        unix_now: u64,
    ) -> Result<(), RegisterError> {
        let shared = &self.shared;
        let (id, claimed) = (registration.id, registration.device.is_some());
        let now = Instant::now();
        let generation = u32::try_from(unix_now).unwrap_or(0);
        let deadline = registration.deadline;
        match shared.sessions.entry(id) {
            MapEntry::Occupied(_) => return Err(RegisterError::Known),
            MapEntry::Vacant(slot) => {
                if !shared.reserve_slot() {
                    return Err(RegisterError::Full);
                }
                let session = Session::new(registration, generation, &shared.mailboxes, now);
                slot.insert(Arc::new(Mutex::new(session)));
            }
        }
        let state = if claimed {
            &shared.claimed
        } else {
            &shared.created
        };
        state.fetch_add(1, Ordering::Relaxed);
        shared.wake_at(deadline, id);
        shared.observer.observe(SignalingEvent::Registered);
        Ok(())
    }

    pub(crate) fn status(&self, id: SessionId) -> Option<SessionStatus> {
        let session = self.shared.find(id)?;
        let status = session.lock().status();
        Some(status)
    }

    pub(crate) fn cancel(&self, id: SessionId, right: &CancelRight) -> Result<(), CancelError> {
        let session = self.shared.find(id).ok_or(CancelError::Unknown)?;
        if !right.holds(&session.lock().registration().host_token) {
            return Err(CancelError::Unauthorized);
        }
        self.shared.end(&session, Outcome::Cancelled);
        match session.lock().outcome() {
            None | Some(Outcome::Cancelled) => Ok(()),
            Some(outcome) => Err(CancelError::Ended(outcome)),
        }
    }

    /// Whether there is such a session, and it has not ended.
    pub(crate) fn check_open(&self, id: SessionId) -> Result<(), SignalErrorCode> {
        let session = self.shared.find(id).ok_or(SignalErrorCode::NotFound)?;
        match session.lock().outcome() {
            None => Ok(()),
            Some(_) => Err(SignalErrorCode::Ended),
        }
    }

    /// Attaches a client whose signature the caller has checked; `permit` is for one that claims.
    pub(crate) fn enter(
        &self,
        id: SessionId,
        identity: Identity,
        permit: ClaimPermit,
        outbox: Outbox,
    ) -> Result<Attachment, SignalErrorCode> {
        match identity {
            Identity::Host { token } => self.attach_host(id, &token, outbox),
            Identity::Claim {
                token,
                device,
                request,
            } => {
                let claim = Claim {
                    device,
                    request,
                    permit,
                };
                self.claim(id, &token, claim, |_| true, outbox)
            }
            Identity::Resume { device } => self.resume(id, |winner| *winner == device, outbox),
        }
    }

    pub(crate) fn attach_host(
        &self,
        id: SessionId,
        token: &SecretHash,
        outbox: Outbox,
    ) -> Result<Attachment, SignalErrorCode> {
        let session = self.shared.find(id).ok_or(SignalErrorCode::NotFound)?;
        let outbox_id = outbox.id();
        session.lock().attach_host(token, outbox)?;
        Ok(self.attachment(session, id, Side::Host, outbox_id))
    }

    /// Claims for a device; `signed` checks its signature, and is asked only once the token is
    /// right, because it is the dearer of the two.
    ///
    /// # Errors
    /// [`SignalErrorCode::Internal`], for the client to come again, if it would be the first to claim
    /// but its permit is for another epoch: the session has moved since.
    pub(crate) fn claim(
        &self,
        id: SessionId,
        token: &SecretHash,
        claim: Claim,
        signed: impl FnOnce(&DeviceKey) -> bool,
        outbox: Outbox,
    ) -> Result<Attachment, SignalErrorCode> {
        let session = self.shared.find(id).ok_or(SignalErrorCode::NotFound)?;
        let Claim {
            device,
            request,
            permit,
        } = claim;
        if !session.lock().claim_hash_matches(token) || !signed(&device) {
            return Err(SignalErrorCode::Unauthorized);
        }
        let outbox_id = outbox.id();
        let claim = {
            let mut session = session.lock();
            // Under the lock, and on the very session that the permit is for: between the other nodes'
            // answer and now, this node may have lost it and taken it over again from an old record.
            if session.state() == SessionState::Created
                && !permit.is_for(session.registration().epoch)
            {
                return Err(SignalErrorCode::Internal);
            }
            let claim = session.claim(token, device, request, outbox, Instant::now());
            if let Ok(ClaimOutcome::Won(_)) = claim {
                self.shared.created.fetch_sub(1, Ordering::Relaxed);
                self.shared.claimed.fetch_add(1, Ordering::Relaxed);
            }
            claim
        };
        match claim {
            Ok(ClaimOutcome::Won(after)) => {
                self.shared
                    .observer
                    .observe(SignalingEvent::Claimed { after });
                let claimed = AuditEvent::SessionClaimed { session: id };
                self.shared.observer.audit(claimed);
            }
            Ok(ClaimOutcome::AlreadyWon) => {}
            Ok(ClaimOutcome::TakeoverRequested) => {
                self.shared.observer.observe(SignalingEvent::SecondClaim);
                let asked = AuditEvent::TakeoverAsked { session: id };
                self.shared.observer.audit(asked);
            }
            Err(SignalErrorCode::AlreadyClaimed) => {
                self.shared.claim_refused(id);
                return Err(SignalErrorCode::AlreadyClaimed);
            }
            Err(code) => return Err(code),
        }
        Ok(self.attachment(session, id, Side::Viewer, outbox_id))
    }

    pub(crate) fn resume(
        &self,
        id: SessionId,
        signed: impl FnOnce(&DeviceKey) -> bool,
        outbox: Outbox,
    ) -> Result<Attachment, SignalErrorCode> {
        let session = self.shared.find(id).ok_or(SignalErrorCode::NotFound)?;
        self.check_open(id)?;
        let device = session.lock().device().cloned();
        let device = device
            .filter(|device| signed(device))
            .ok_or(SignalErrorCode::Unauthorized)?;
        let outbox_id = outbox.id();
        session.lock().resume(&device, outbox)?;
        Ok(self.attachment(session, id, Side::Viewer, outbox_id))
    }

    fn attachment(
        &self,
        session: SharedSession,
        id: SessionId,
        side: Side,
        outbox_id: u64,
    ) -> Attachment {
        self.shared.open_legs(&session, id);
        Attachment {
            shared: self.shared.clone(),
            session,
            id,
            side,
            outbox_id,
        }
    }
}

#[cfg(test)]
mod tests;
