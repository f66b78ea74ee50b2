//! The state machine: sessions in, datagrams in, datagrams out.

mod event;
mod forward;
mod stun;

use std::{collections::VecDeque, time::Instant};

use foldhash::fast::FixedState;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use slab::Slab;

use crate::{
    DropReason, Leg, LegCredentials, Legs, PathAddr, RelayCounters, RelaySessionId,
    RemoteCredentials, Transmit,
    demux::DatagramKind,
    leg::LegState,
    output::OutputQueue,
    path::Tick,
    pending::PendingBudget,
    routes::{LegRef, Routes},
};

pub use event::RelayEvent;

/// Each session is checked for expired paths once a second, an eighth of them at a time.
const SWEEP_INTERVAL_MS: u64 = 125;
const SWEEP_PARTS: usize = 8;
/// Events that may wait for their reader; beyond it, the oldest are dropped and counted.
const MAX_EVENTS: usize = 65_536;

/// The blind relay of one shard.
#[derive(Debug)]
pub struct Relay {
    epoch: Instant,
    sessions: Slab<Session>,
    routes: Routes,
    hasher: FixedState,
    random: ChaCha12Rng,
    output: OutputQueue,
    events: VecDeque<RelayEvent>,
    pending_budget: PendingBudget,
    counters: RelayCounters,
    connected: usize,
    sweep: Sweep,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// The id is in use.
    #[error("the session is open already")]
    SessionExists,
    /// The id is not in use.
    #[error("no such session")]
    UnknownSession,
    /// Another leg has this ufrag; with 96 random bits this is a mistake of the caller's.
    #[error("the ufrag is in use")]
    UfragTaken,
}

#[derive(Debug)]
struct Session {
    id: RelaySessionId,
    legs: Legs<LegState>,
}

#[derive(Debug)]
struct Sweep {
    next: Tick,
    cursor: usize,
    /// One past the highest slot ever used.
    end: usize,
}

impl Relay {
    /// A relay without sessions; `seed` must come from the operating system's generator.
    #[must_use]
    pub fn new(epoch: Instant, seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        Self {
            epoch,
            sessions: Slab::new(),
            routes: Routes::new(random.next_u64()),
            hasher: FixedState::with_seed(random.next_u64()),
            random,
            output: OutputQueue::new(),
            events: VecDeque::new(),
            pending_budget: PendingBudget::new(),
            counters: RelayCounters::default(),
            connected: 0,
            sweep: Sweep {
                next: Tick(0),
                cursor: 0,
                end: 0,
            },
        }
    }

    /// Opens a session with one set of credentials a leg.
    ///
    /// # Errors
    /// When the id or a ufrag is in use.
    pub fn open_session(
        &mut self,
        id: RelaySessionId,
        credentials: Legs<LegCredentials>,
    ) -> Result<(), RelayError> {
        if self.routes.by_id.contains_key(&id) {
            return Err(RelayError::SessionExists);
        }
        let ufrags = [credentials.host.ufrag, credentials.viewer.ufrag];
        let taken = ufrags.iter().any(|u| self.routes.by_ufrag.contains_key(u));
        if taken || ufrags[0] == ufrags[1] {
            return Err(RelayError::UfragTaken);
        }
        let legs = Legs {
            host: LegState::new(credentials.host),
            viewer: LegState::new(credentials.viewer),
        };
        let slot = self.sessions.insert(Session { id, legs });
        self.sweep.end = self.sweep.end.max(slot + 1);
        self.routes.by_id.insert(id, slot as u32);
        for (ufrag, leg) in ufrags.into_iter().zip([Leg::Host, Leg::Viewer]) {
            self.routes.by_ufrag.insert(ufrag, LegRef::new(slot, leg));
        }
        Ok(())
    }

    /// Gives a leg new credentials: its endpoint restarts ICE.
    ///
    /// The old ones stay valid until the new ones are used, and media flows all the while.
    ///
    /// # Errors
    /// When there is no such session, or the ufrag is in use.
    pub fn restart_leg(
        &mut self,
        id: RelaySessionId,
        leg: Leg,
        credentials: LegCredentials,
    ) -> Result<(), RelayError> {
        let slot = self.slot(id)?;
        if self.routes.by_ufrag.contains_key(&credentials.ufrag) {
            return Err(RelayError::UfragTaken);
        }
        let state = self.sessions[slot].legs.get_mut(leg);
        let ufrag = credentials.ufrag;
        if let Some(ended) = state.restart(credentials) {
            self.routes.by_ufrag.remove(&ended);
        }
        self.routes.by_ufrag.insert(ufrag, LegRef::new(slot, leg));
        Ok(())
    }

    /// Tells the relay the endpoint's own credentials, with which it checks the return path.
    ///
    /// Until then an address gets no more than three times what came from it, and nothing that it
    /// sends is passed on.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn set_remote_credentials(
        &mut self,
        now: Instant,
        id: RelaySessionId,
        leg: Leg,
        remote: RemoteCredentials,
    ) -> Result<(), RelayError> {
        let now = Tick::new(self.epoch, now);
        let slot = self.slot(id)?;
        let state = self.sessions[slot].legs.get_mut(leg);
        state.set_remote(remote);
        let addrs: Vec<PathAddr> = state.paths().iter().map(|path| path.addr).collect();
        for addr in addrs {
            self.probe(now, LegRef::new(slot, leg), addr);
        }
        Ok(())
    }

    /// Forgets a session; no event follows.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn close_session(&mut self, id: RelaySessionId) -> Result<(), RelayError> {
        let slot = self.slot(id)?;
        let mut session = self.sessions.remove(slot);
        self.routes.by_id.remove(&id);
        for leg in [Leg::Host, Leg::Viewer] {
            let state = session.legs.get_mut(leg);
            for ufrag in state.ufrags() {
                self.routes.by_ufrag.remove(&ufrag);
            }
            for path in state.paths() {
                self.routes.release(path.addr, LegRef::new(slot, leg));
            }
            self.connected -= usize::from(!state.paths().is_empty());
            state.pending.clear(&mut self.pending_budget);
        }
        Ok(())
    }

    /// Names an address that the caller hands out, as a socket for a stream's datagrams: who checks
    /// from there is told `name`, under which the outside knows it.
    ///
    /// It holds until [`Relay::forget_address`].
    pub fn name_address(&mut self, addr: PathAddr, name: PathAddr) {
        self.routes.names.insert(addr, name);
    }

    /// Ends every path over an address that the caller had handed out and now takes back.
    ///
    /// Whoever gets the address next must not find it proven by its last user.
    pub fn forget_address(&mut self, addr: PathAddr) {
        self.routes.names.remove(&addr);
        while let Some(leg) = self.routes.leg_at(addr) {
            self.remove_path(leg, addr);
        }
    }

    /// Takes one datagram in; `Some` is where to pass it on, as it is.
    ///
    /// Whatever the relay itself has to say waits in [`Relay::poll_output`].
    #[inline]
    pub fn handle_input(
        &mut self,
        now: Instant,
        src: PathAddr,
        datagram: &[u8],
    ) -> Option<PathAddr> {
        let now = Tick::new(self.epoch, now);
        match DatagramKind::of(datagram) {
            DatagramKind::Stun => {
                let outcome = self.handle_stun(now, src, datagram);
                self.counters.count_stun(outcome);
                None
            }
            kind @ (DatagramKind::Dtls | DatagramKind::Srtp) => {
                match self.forward(now, src, datagram, kind) {
                    Ok(to) => to,
                    Err(reason) => {
                        self.counters.drop_packet(reason);
                        None
                    }
                }
            }
            DatagramKind::Unknown => {
                self.counters.drop_packet(DropReason::FirstByte);
                None
            }
        }
    }

    /// Ends the consent of paths that fell silent.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = Tick::new(self.epoch, now);
        if now < self.sweep.next {
            return;
        }
        self.sweep.next = Tick(now.0 + SWEEP_INTERVAL_MS);
        let part = self.sweep.end.div_ceil(SWEEP_PARTS);
        let slots = self.sweep.cursor..(self.sweep.cursor + part).min(self.sweep.end);
        self.sweep.cursor = match slots.end {
            end if end == self.sweep.end => 0,
            end => end,
        };
        for slot in slots {
            for leg in [Leg::Host, Leg::Viewer] {
                self.expire(now, LegRef::new(slot, leg));
            }
        }
    }

    /// The next datagram that the relay itself wants sent.
    pub fn poll_output(&mut self) -> Option<Transmit<'_>> {
        self.output.pop()
    }

    /// When to call [`Relay::handle_timeout`] next, if ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.routes
            .has_paths()
            .then(|| self.sweep.next.instant(self.epoch))
    }

    /// The next thing that happened to a leg.
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    /// Whether [`Relay::poll_event`] has something to say.
    #[inline]
    #[must_use]
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Totals so far.
    #[must_use]
    pub fn counters(&self) -> &RelayCounters {
        &self.counters
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Legs with a validated path.
    #[must_use]
    pub fn connected_legs(&self) -> usize {
        self.connected
    }

    fn slot(&self, id: RelaySessionId) -> Result<usize, RelayError> {
        let slot = self.routes.by_id.get(&id);
        slot.map(|slot| *slot as usize)
            .ok_or(RelayError::UnknownSession)
    }

    fn expire(&mut self, now: Tick, at: LegRef) {
        let Some(session) = self.sessions.get_mut(at.slot()) else {
            return;
        };
        let state = session.legs.get_mut(at.leg());
        if state.paths().is_empty() {
            return;
        }
        state.expire(now, |addr| {
            self.routes.release(addr, at);
        });
        self.report_if_lost(at);
    }

    /// Ends a leg's path at an address.
    fn remove_path(&mut self, leg: LegRef, addr: PathAddr) {
        self.routes.release(addr, leg);
        if let Some(session) = self.sessions.get_mut(leg.slot()) {
            session.legs.get_mut(leg.leg()).remove_address(addr);
            self.report_if_lost(leg);
        }
    }

    /// Reports a leg that has lost its last path.
    fn report_if_lost(&mut self, at: LegRef) {
        let Some(session) = self.sessions.get_mut(at.slot()) else {
            return;
        };
        let state = session.legs.get_mut(at.leg());
        if state.paths().is_empty() {
            state.pending.clear(&mut self.pending_budget);
            self.connected -= 1;
            let (session, leg) = (session.id, at.leg());
            self.push_event(RelayEvent::LegLost { session, leg });
        }
    }

    fn push_event(&mut self, event: RelayEvent) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.counters.lost_events += 1;
        }
        self.events.push_back(event);
    }
}
