//! What a registry's handles share: the map, the counters and the timers.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use authloop_protocol::{
    id::SessionId,
    signal::{Outcome, SessionState},
};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    audit::AuditEvent,
    byte_budget::ByteBudget,
    observer::{Observer, SignalingEvent},
    relay::{Relay, RelayError, Side},
    session::{Session, TimerAction},
    settings::RegistrySettings,
};

/// A panic while its lock is held leaves at worst this session half changed: the lock is not poisoned,
/// and the others go on.
pub(super) type SharedSession = Arc<Mutex<Session>>;
pub(super) type OnChange = Box<dyn Fn(SessionId, RecordChange) + Send + Sync>;

/// What other nodes must know of a session here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RecordChange {
    /// It is over.
    Ended(Outcome),
    /// Another device has it.
    Device,
}

pub(super) struct Shared {
    pub(super) settings: RegistrySettings,
    pub(super) relay: Arc<dyn Relay>,
    pub(super) observer: Arc<dyn Observer>,
    /// What the mailboxes of all sessions may hold together.
    pub(super) mailboxes: ByteBudget,
    pub(super) sessions: DashMap<SessionId, SharedSession>,
    pub(super) created: AtomicUsize,
    pub(super) claimed: AtomicUsize,
    pub(super) ended: AtomicUsize,
    pub(super) live: AtomicUsize,
    /// Ended sessions, the oldest first.
    pub(super) ended_order: Mutex<VecDeque<SessionId>>,
    pub(super) timers: Mutex<BinaryHeap<Reverse<(Instant, SessionId)>>>,
    pub(super) timers_changed: Notify,
    pub(super) on_change: OnceLock<OnChange>,
}

impl Shared {
    pub(super) fn new(
        settings: RegistrySettings,
        relay: Arc<dyn Relay>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            mailboxes: ByteBudget::new(settings.max_mailbox_bytes),
            settings,
            relay,
            observer,
            sessions: DashMap::new(),
            created: AtomicUsize::new(0),
            claimed: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            ended_order: Mutex::default(),
            timers: Mutex::default(),
            timers_changed: Notify::new(),
            on_change: OnceLock::new(),
        }
    }

    pub(super) fn find(&self, id: SessionId) -> Option<SharedSession> {
        self.sessions
            .get(&id)
            .map(|session| session.value().clone())
    }

    pub(super) fn reserve_slot(&self) -> bool {
        let max = self.settings.max_sessions;
        self.live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                (live < max).then_some(live + 1)
            })
            .is_ok()
    }

    pub(super) fn wake_at(&self, deadline: Instant, id: SessionId) {
        self.timers.lock().push(Reverse((deadline, id)));
        self.timers_changed.notify_one();
    }

    /// Asks the relay for a claimed session's legs, unless it has them or is being asked.
    pub(super) fn open_legs(self: &Arc<Self>, session: &SharedSession, id: SessionId) {
        if !session.lock().begin_opening() {
            return;
        }
        let (shared, session) = (self.clone(), session.clone());
        tokio::spawn(async move {
            match shared.relay.open(id).await {
                Ok(legs) => {
                    let wanted = session.lock().legs_opened(legs);
                    if !wanted {
                        shared.relay.close(id).await;
                    }
                }
                Err(error) => shared.relay_failed(&session, id, &error),
            }
        });
    }

    pub(super) async fn restart_leg(
        self: Arc<Self>,
        session: SharedSession,
        id: SessionId,
        side: Side,
    ) {
        match self.relay.restart(id, side).await {
            Ok(leg) => session.lock().restarted(side, Some(leg)),
            Err(RelayError::Unknown) => {
                session.lock().legs_forgotten();
                self.open_legs(&session, id);
            }
            Err(error) => self.relay_failed(&session, id, &error),
        }
    }

    fn relay_failed(&self, session: &SharedSession, id: SessionId, error: &RelayError) {
        tracing::warn!(session = %id, %error, "the relay failed");
        self.observer.observe(SignalingEvent::RelayFailed);
        session.lock().legs_failed();
    }

    pub(super) fn end(self: &Arc<Self>, session: &SharedSession, outcome: Outcome) {
        let now = Instant::now();
        let forget_at = now + self.settings.retention;
        let (id, event, relay_held) = {
            let mut session = session.lock();
            let counter = match session.state() {
                SessionState::Created => &self.created,
                SessionState::Claimed => &self.claimed,
                SessionState::Ended => return,
            };
            let event = SignalingEvent::Ended {
                outcome,
                after: session.age(now),
                since_claim: session.since_claim(now),
                wall_type: session.registration().wall_type,
            };
            let Some(relay_held) = session.end(outcome, forget_at) else {
                return;
            };
            counter.fetch_sub(1, Ordering::Relaxed);
            self.ended.fetch_add(1, Ordering::Relaxed);
            self.live.fetch_sub(1, Ordering::Relaxed);
            (session.id(), event, relay_held)
        };
        self.observer.observe(event);
        let session_ended = AuditEvent::SessionEnded {
            session: id,
            outcome,
        };
        self.observer.audit(session_ended);
        tracing::info!(session = %id, outcome = outcome.as_str(), "session ended");
        self.changed(id, RecordChange::Ended(outcome));
        if relay_held {
            let relay = self.relay.clone();
            tokio::spawn(async move { relay.close(id).await });
        }
        self.wake_at(forget_at, id);
        let too_old = {
            let mut order = self.ended_order.lock();
            order.push_back(id);
            if order.len() > self.settings.max_ended {
                order.pop_front()
            } else {
                None
            }
        };
        if let Some(id) = too_old {
            self.forget(id);
        }
    }

    pub(super) fn claim_refused(&self, session: SessionId) {
        self.observer.observe(SignalingEvent::SecondClaim);
        self.observer.audit(AuditEvent::ClaimRefused { session });
    }

    pub(super) fn changed(&self, id: SessionId, change: RecordChange) {
        if let Some(on_change) = self.on_change.get() {
            on_change(id, change);
        }
    }

    fn forget(&self, id: SessionId) {
        let removed = self
            .sessions
            .remove_if(&id, |_, session| session.lock().outcome().is_some());
        if removed.is_some() {
            self.ended.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn trim_ended_order(&self) {
        let mut order = self.ended_order.lock();
        while order
            .front()
            .is_some_and(|id| !self.sessions.contains_key(id))
        {
            order.pop_front();
        }
    }

    fn fire(self: &Arc<Self>, id: SessionId, now: Instant) {
        let Some(session) = self.find(id) else {
            return;
        };
        let action = {
            let mut session = session.lock();
            session.drop_abandoned(now);
            session.timer_action(now)
        };
        match action {
            TimerAction::Nothing => {}
            TimerAction::Expire => self.end(&session, Outcome::Expired),
            TimerAction::Forget => {
                self.forget(id);
                self.trim_ended_order();
            }
        }
    }
}

pub(super) async fn run_timers(shared: Arc<Shared>) {
    loop {
        let now = Instant::now();
        let next = loop {
            let mut timers = shared.timers.lock();
            match timers.peek() {
                Some(Reverse((deadline, _))) if *deadline <= now => {
                    let due = timers.pop();
                    drop(timers);
                    if let Some(Reverse((_, id))) = due {
                        shared.fire(id, now);
                    }
                }
                Some(Reverse((deadline, _))) => break Some(*deadline),
                None => break None,
            }
        };
        let changed = shared.timers_changed.notified();
        match next {
            Some(deadline) => {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => {}
                    () = changed => {}
                }
            }
            None => changed.await,
        }
    }
}
