//! What a registry does as one of several nodes': sessions come from others and go to them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_protocol::{
    id::SessionId,
    signal::{Outcome, SessionState},
};
use dashmap::Entry;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    ClientCredentials, Registry,
    shared::{RecordChange, SharedSession},
};
use crate::{
    audit::AuditEvent,
    byte_budget::ByteBudget,
    observer::SignalingEvent,
    relay::Relay,
    session::{Registration, Session},
};

/// Generations of a leg's credentials that an owner may hand out within its first second.
const MAX_GENERATIONS_PER_EPOCH: u64 = 64;

impl Registry {
    /// Hears of every [`RecordChange`] of a session here; the first caller only.
    pub(crate) fn on_change(&self, hear: impl Fn(SessionId, RecordChange) + Send + Sync + 'static) {
        let _ = self.shared.on_change.set(Box::new(hear));
    }

    /// Sessions that are not over.
    pub(crate) fn live(&self) -> usize {
        self.shared.live.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.live() >= self.shared.settings.max_sessions
    }

    /// A session was registered through this node, wherever it lives.
    pub(crate) fn registered(&self) {
        self.shared.observer.observe(SignalingEvent::Registered);
    }

    pub(crate) fn credentials(&self, id: SessionId) -> Option<ClientCredentials> {
        let session = self.shared.find(id)?;
        let session = session.lock();
        Some(ClientCredentials {
            claim_hash: session.registration().claim_hash,
            device: session.device().cloned(),
            outcome: session.outcome(),
        })
    }

    pub(crate) fn is_unclaimed(&self, id: SessionId) -> bool {
        let session = self.shared.find(id);
        session.is_some_and(|session| session.lock().state() == SessionState::Created)
    }

    /// The epoch of an open session here.
    pub(crate) fn epoch(&self, id: SessionId) -> Option<u64> {
        let session = self.shared.find(id)?;
        let session = session.lock();
        session
            .outcome()
            .is_none()
            .then(|| session.registration().epoch)
    }

    /// What another node must register to go on with an open session here.
    pub(crate) fn registration(&self, id: SessionId) -> Option<Registration> {
        let session = self.shared.find(id)?;
        let session = session.lock();
        if session.outcome().is_some() {
            return None;
        }
        let mut registration = session.registration().clone();
        registration.device = session.device().cloned();
        Some(registration)
    }

    pub(crate) fn open_sessions(&self) -> Vec<SessionId> {
        let sessions = &self.shared.sessions;
        let sessions: Vec<SharedSession> =
            sessions.iter().map(|entry| entry.value().clone()).collect();
        let open = sessions.iter().filter_map(|session| {
            let session = session.lock();
            session.outcome().is_none().then(|| session.id())
        });
        open.collect()
    }

    pub(crate) fn second_claim(&self, id: SessionId) {
        if let Some(session) = self.shared.find(id) {
            session.lock().second_claim(Instant::now());
            self.shared.claim_refused(id);
        }
    }

    /// Ends a session as another node was asked to.
    pub(crate) fn end(&self, id: SessionId, outcome: Outcome) {
        if let Some(session) = self.shared.find(id) {
            self.shared.end(&session, outcome);
        }
    }

    /// Takes a session over, unless this epoch of it is here already. It never refuses: a client of
    /// a dead node has nowhere else to go.
    pub(crate) fn adopt(&self, registration: Registration, now: Instant, unix_millis: u64) {
        let (id, epoch) = (registration.id, registration.epoch);
        let (deadline, claimed) = (registration.deadline, registration.device.is_some());
        let mailboxes = &self.shared.mailboxes;
        let old = match self.shared.sessions.entry(id) {
            Entry::Occupied(mut slot) => {
                if slot.get().lock().registration().epoch >= epoch {
                    return;
                }
                Some(slot.insert(adopted_session(registration, mailboxes, now, unix_millis)))
            }
            Entry::Vacant(slot) => {
                slot.insert(adopted_session(registration, mailboxes, now, unix_millis));
                None
            }
        };
        if let Some(old) = old {
            self.count_out(&old);
            old.lock().release();
        }
        self.count_in(claimed);
        if epoch > 1 {
            let moved = AuditEvent::SessionMoved { session: id, epoch };
            self.shared.observer.audit(moved);
        }
        self.shared.wake_at(deadline, id);
    }

    /// Gives an open session up without an end, and sends its clients away; the relay still has its
    /// legs. `None` if there is no such session here.
    pub(crate) fn release(&self, id: SessionId) -> Option<Arc<dyn Relay>> {
        let sessions = &self.shared.sessions;
        let (_, session) =
            sessions.remove_if(&id, |_, session| session.lock().outcome().is_none())?;
        self.count_out(&session);
        session.lock().release();
        Some(self.shared.relay.clone())
    }

    fn count_in(&self, claimed: bool) {
        let state = if claimed {
            &self.shared.claimed
        } else {
            &self.shared.created
        };
        state.fetch_add(1, Ordering::Relaxed);
        self.shared.live.fetch_add(1, Ordering::Relaxed);
    }

    fn count_out(&self, session: &SharedSession) {
        let state = match session.lock().state() {
            SessionState::Created => &self.shared.created,
            SessionState::Claimed => &self.shared.claimed,
            SessionState::Ended => {
                self.shared.ended.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        };
        state.fetch_sub(1, Ordering::Relaxed);
        self.shared.live.fetch_sub(1, Ordering::Relaxed);
    }
}

fn adopted_session(
    registration: Registration,
    mailboxes: &ByteBudget,
    now: Instant,
    unix_millis: u64,
) -> SharedSession {
    // It must rise although two owners may follow each other within one second.
    let generation = unix_millis / 1000 + registration.epoch * MAX_GENERATIONS_PER_EPOCH;
    let generation = u32::try_from(generation).unwrap_or(0);
    let age = Duration::from_millis(unix_millis.saturating_sub(registration.created_unix_ms));
    let registered = now.checked_sub(age).unwrap_or(now);
    Arc::new(Mutex::new(Session::new(
        registration,
        generation,
        mailboxes,
        registered,
    )))
}
