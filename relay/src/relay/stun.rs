//! Handles STUN: answers checks, learns paths from them and has paths prove themselves.

use rand_chacha::rand_core::Rng;

use super::{Relay, RelayEvent};
use crate::{
    DropReason, LocalPwd, LocalUfrag, PathAddr, StunOutcome,
    path::{Path, Tick},
    routes::LegRef,
    stun::{
        BindingMessage, BindingRequest, MAX_BINDING_BYTES, StunClass, StunParseError,
        TransactionId, write_binding_success,
    },
};

/// RFC 8445 §5.1.2.1: a host candidate's type preference, the highest there is.
const HOST_CANDIDATE_PRIORITY: u32 = 126 << 24 | 65_535 << 8 | 255;

impl Relay {
    /// The password of the leg that a ufrag names, for streams that authenticate before the leg.
    #[must_use]
    pub fn leg_pwd(&self, ufrag: LocalUfrag) -> Option<&LocalPwd> {
        let leg = self.routes.by_ufrag.get(&ufrag)?;
        let session = self.sessions.get(leg.slot())?;
        session.legs.get(leg.leg()).pwd_of(ufrag)
    }

    pub(super) fn handle_stun(&mut self, now: Tick, src: PathAddr, datagram: &[u8]) -> StunOutcome {
        let message = match BindingMessage::parse(datagram) {
            Ok(message) => message,
            Err(StunParseError::Malformed) => return StunOutcome::Malformed,
            Err(StunParseError::Method) => return StunOutcome::Ignored,
            Err(StunParseError::UnknownAttribute) => return StunOutcome::UnknownAttribute,
        };
        let outcome = match message.class() {
            StunClass::Request => self.handle_check(now, src, &message, datagram.len()),
            StunClass::Success => self.handle_answer(now, src, &message),
            StunClass::Indication | StunClass::Error => Err(StunOutcome::Ignored),
        };
        outcome.unwrap_or_else(|refusal| refusal)
    }

    /// Nothing is learnt and nothing is sent before MESSAGE-INTEGRITY holds.
    fn handle_check(
        &mut self,
        now: Tick,
        src: PathAddr,
        message: &BindingMessage<'_>,
        length: usize,
    ) -> Result<StunOutcome, StunOutcome> {
        let ufrag = addressee(message).ok_or(StunOutcome::UnknownUfrag)?;
        let leg = self.routes.by_ufrag.get(&ufrag);
        let leg = *leg.ok_or(StunOutcome::UnknownUfrag)?;
        if !message.fingerprint_holds() {
            return Err(StunOutcome::Fingerprint);
        }
        let session = self.sessions.get_mut(leg.slot());
        let state = session
            .ok_or(StunOutcome::UnknownUfrag)?
            .legs
            .get_mut(leg.leg());
        let pwd = state.pwd_of(ufrag).ok_or(StunOutcome::UnknownUfrag)?;
        if !message.integrity_holds(pwd.as_bytes()) {
            return Err(StunOutcome::Integrity);
        }
        let pwd = pwd.clone();
        let id = message.transaction_id();
        // Who overhears a check may be quicker with a copy than its sender is. Which address is true
        // only the relay's own check can tell; a replay is refused where there is nothing to find out.
        let is_replay = state.is_replay(&self.hasher, id, src);
        if is_replay && state.path(src).is_none() && state.is_served(now) {
            return Err(StunOutcome::Replayed);
        }
        self.ensure_path(now, leg, src)?;
        self.record_check(now, leg, src, ufrag, message.use_candidate(), length);

        let fingerprint = message.has_fingerprint();
        let mapped = self.routes.names.get(&src).copied().unwrap_or(src);
        let write =
            |out: &mut Vec<u8>| write_binding_success(out, id, mapped, pwd.as_bytes(), fingerprint);
        match self.output.push(src, MAX_BINDING_BYTES, write) {
            Some(bytes) => self.count_sent(leg, src, bytes),
            None => self.counters.drop_packet(DropReason::OutputFull),
        }
        self.probe(now, leg, src);
        self.flush_towards(leg);
        Ok(StunOutcome::Answered)
    }

    /// The answer to a check of the relay's own proves that the address receives.
    fn handle_answer(
        &mut self,
        now: Tick,
        src: PathAddr,
        message: &BindingMessage<'_>,
    ) -> Result<StunOutcome, StunOutcome> {
        let id = message.transaction_id();
        let is_expected = |leg: &LegRef| self.path(*leg, src).is_some_and(|path| path.expects(id));
        let leg = self.routes.claimants(src).find(is_expected);
        let leg = leg.ok_or(StunOutcome::Unsolicited)?;
        let state = self.leg_mut(leg).ok_or(StunOutcome::Unsolicited)?;
        let (at, _) = state.path_at(src).ok_or(StunOutcome::Unsolicited)?;
        if !message.fingerprint_holds() {
            return Err(StunOutcome::Fingerprint);
        }
        let remote = state.remote().ok_or(StunOutcome::Unsolicited)?;
        if !message.integrity_holds(remote.pwd()) {
            return Err(StunOutcome::Integrity);
        }
        if self.is_taken(now, leg, src) {
            return Err(StunOutcome::AddressTaken);
        }
        let Some(state) = self.leg_mut(leg) else {
            return Err(StunOutcome::Unsolicited);
        };
        state.record_proof(now, at);
        let moved = state.move_if_better(now, at);
        self.counters.migrations += u64::from(moved);
        self.routes.claim(src, leg);
        let others: Vec<LegRef> = self.routes.claimants(src).skip(1).collect();
        for other in others {
            self.remove_path(other, src);
        }
        self.flush_towards(leg);
        self.flush_towards(leg.opposite());
        Ok(StunOutcome::Proven)
    }

    /// Makes `src` a path of `leg`, unless it is proven for another leg that is alive.
    fn ensure_path(&mut self, now: Tick, leg: LegRef, src: PathAddr) -> Result<(), StunOutcome> {
        let owner = self.routes.leg_at(src);
        if owner == Some(leg) {
            return Ok(());
        }
        if self.is_taken(now, leg, src) {
            return Err(StunOutcome::AddressTaken);
        }
        let state = self.leg_mut(leg).ok_or(StunOutcome::UnknownUfrag)?;
        let (known, first) = (state.path(src).is_some(), state.paths().is_empty());
        if !known {
            let evicted = state.add(now, src).map_err(|_| StunOutcome::TooManyPaths)?;
            if let Some(evicted) = evicted {
                self.routes.release(evicted, leg);
            }
        }
        // A NAT may give a port to someone else, but only proof takes it from an owner that had one.
        let owner = owner.and_then(|owner| self.path(owner, src));
        if !owner.is_some_and(Path::is_proven) {
            self.routes.claim(src, leg);
        } else if !known {
            self.routes.claim_as_rival(src, leg);
        }
        if first {
            self.connected += 1;
            let session = self.sessions[leg.slot()].id;
            let leg = leg.leg();
            self.push_event(RelayEvent::LegConnected { session, leg });
        }
        Ok(())
    }

    /// Whether another leg has proved that it receives at the address, and still checks.
    fn is_taken(&self, now: Tick, leg: LegRef, addr: PathAddr) -> bool {
        let owner = self.routes.leg_at(addr).filter(|owner| *owner != leg);
        let path = owner.and_then(|owner| self.path(owner, addr));
        path.is_some_and(|path| path.is_proven() && path.is_owned(now))
    }

    fn record_check(
        &mut self,
        now: Tick,
        leg: LegRef,
        src: PathAddr,
        ufrag: LocalUfrag,
        nominate: bool,
        length: usize,
    ) {
        let Some(state) = self.leg_mut(leg) else {
            return;
        };
        let ended = state.mark_used(ufrag);
        let Some((at, path)) = state.path_at(src) else {
            return;
        };
        path.record_received(now, length);
        state.record_check(now, at, ufrag, nominate);
        let moved = state.move_if_better(now, at);
        self.counters.migrations += u64::from(moved);
        if let Some(ended) = ended {
            self.routes.by_ufrag.remove(&ended);
        }
    }

    /// Asks a path that is not proven yet to show that it receives what is sent to it.
    ///
    /// The check counts against what an unproven address may be sent.
    pub(super) fn probe(&mut self, now: Tick, leg: LegRef, addr: PathAddr) {
        let session = self.sessions.get_mut(leg.slot());
        let Some(state) = session.map(|session| session.legs.get_mut(leg.leg())) else {
            return;
        };
        let (from_ufrag, (remote, path)) = (state.ufrag(), state.remote_and_path(addr));
        let (Some(remote), Some(path)) = (remote, path) else {
            return;
        };
        if !path.wants_probe(now) {
            return;
        }
        let id = path.probe_id().unwrap_or_else(|| {
            let mut id = TransactionId([0; 12]);
            self.random.fill_bytes(&mut id.0);
            id
        });
        let check = BindingRequest {
            transaction_id: id,
            to_ufrag: remote.ufrag(),
            from_ufrag: from_ufrag.as_bytes(),
            pwd: remote.pwd(),
            priority: HOST_CANDIDATE_PRIORITY,
            controlling: None,
            use_candidate: false,
        };
        if !path.try_reserve(check.len()) {
            return;
        }
        match self
            .output
            .push(addr, MAX_BINDING_BYTES, |out| check.write(out))
        {
            Some(_) => path.probe_sent(now, id),
            None => self.counters.drop_packet(DropReason::OutputFull),
        }
    }

    /// Sends what the other leg said while `leg` could not take it, as far as it may have it.
    fn flush_towards(&mut self, leg: LegRef) {
        let Some(session) = self.sessions.get_mut(leg.slot()) else {
            return;
        };
        let (near, far) = session.legs.split(leg.leg());
        if far.pending.is_empty() {
            return;
        }
        let Some(path) = near.active() else {
            return;
        };
        let to = path.addr;
        let fits = |packet: &[u8]| path.try_reserve(packet.len());
        for packet in far.take_pending(&mut self.pending_budget, fits) {
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(&packet);
                packet.len()
            };
            match self.output.push(to, packet.len(), write) {
                Some(bytes) => self.counters.forward(bytes),
                None => self.counters.drop_packet(DropReason::OutputFull),
            }
        }
    }

    /// Counts what was sent against what an unproven address may be sent.
    fn count_sent(&mut self, leg: LegRef, addr: PathAddr, bytes: usize) {
        if let Some((_, path)) = self.leg_mut(leg).and_then(|state| state.path_at(addr)) {
            path.try_reserve(bytes);
        }
    }

    fn path(&self, leg: LegRef, addr: PathAddr) -> Option<&Path> {
        let session = self.sessions.get(leg.slot())?;
        session.legs.get(leg.leg()).path(addr)
    }

    fn leg_mut(&mut self, leg: LegRef) -> Option<&mut crate::leg::LegState> {
        let session = self.sessions.get_mut(leg.slot())?;
        Some(session.legs.get_mut(leg.leg()))
    }
}

/// The leg that a check names: only the receiver's half of USERNAME counts.
fn addressee(message: &BindingMessage<'_>) -> Option<LocalUfrag> {
    let (ufrag, rest) = message.username()?.split_at_checked(LocalUfrag::LEN)?;
    rest.starts_with(b":")
        .then(|| LocalUfrag::from_bytes(ufrag))?
}
