//! One session's state machine. It is driven under its registry's lock, does no I/O of its own and
//! never waits: messages go into bounded queues.

mod claim;
mod legs;
mod takeover;

use std::{sync::Arc, time::Duration};

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    signal::{Outcome, ServerMessage, SessionState, SessionStatus, SignalErrorCode, WallType},
};
use tokio::time::Instant;

use crate::{
    byte_budget::ByteBudget,
    outbox::{Closing, Outbox},
    relay::Side,
    side::{Delivery, SideMailbox},
};
use takeover::Takeover;

/// What a host registers.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) id: SessionId,
    pub(crate) invitation: Arc<[u8]>,
    pub(crate) claim_hash: SecretHash,
    pub(crate) host_token: SecretHash,
    pub(crate) device: Option<DeviceKey>,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) deadline: Instant,
    /// How often the session has changed its node, from 1; 0 for a server alone.
    pub(crate) epoch: u64,
    /// Unix milliseconds.
    pub(crate) created_unix_ms: u64,
    pub(crate) wall_type: Option<WallType>,
}

pub(crate) struct Session {
    registration: Registration,
    registered_at: Instant,
    /// When it was claimed, if that was here.
    claimed_at: Option<Instant>,
    /// Whether the viewer has reported its first picture.
    first_frame_seen: bool,
    phase: Phase,
    host: SideMailbox,
    viewer: SideMailbox,
}

enum Phase {
    Created,
    Claimed {
        device: DeviceKey,
        relay: RelayState,
        second_claim_notice: Option<Instant>,
        takeover: Takeover,
    },
    Ended {
        outcome: Outcome,
        forget_at: Instant,
    },
}

/// Whether the relay holds this session's legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelayState {
    Closed,
    Opening,
    Open,
}

/// How a claim went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimOutcome {
    /// This device won it just now, this long after the registration.
    Won(Duration),
    /// This device had won it before.
    AlreadyWon,
    /// Another device has it, and is asked to give it away.
    TakeoverRequested,
}

/// How a session went from one device to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeoverEffect {
    Nothing,
    /// The caller must now ask the relay to restart the viewer's leg.
    RestartLeg,
}

/// What a device with the link asks for, if another has the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimRequest {
    /// Nothing more than a claim.
    Claim,
    /// To have it in the other's place.
    TakeOver(TakeoverCommitment),
}

/// What an asking device is bound to before it hears anything of the one that has the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TakeoverCommitment(pub(crate) [u8; 32]);

/// What the registry must do when a session's timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerAction {
    Nothing,
    Expire,
    Forget,
}

impl Session {
    /// `mailboxes` is what all sessions' mailboxes may hold together.
    pub(crate) fn new(
        mut registration: Registration,
        generation: u32,
        mailboxes: &ByteBudget,
        now: Instant,
    ) -> Self {
        let phase = match registration.device.take() {
            None => Phase::Created,
            Some(device) => Phase::Claimed {
                device,
                relay: RelayState::Closed,
                second_claim_notice: None,
                takeover: Takeover::default(),
            },
        };
        Self {
            registration,
            registered_at: now,
            claimed_at: None,
            first_frame_seen: false,
            phase,
            host: SideMailbox::new(generation, mailboxes.clone()),
            viewer: SideMailbox::new(generation, mailboxes.clone()),
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.registration.id
    }

    /// What it was registered with; the device that claimed it since is [`Self::device`].
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    pub(crate) fn state(&self) -> SessionState {
        match self.phase {
            Phase::Created => SessionState::Created,
            Phase::Claimed { .. } => SessionState::Claimed,
            Phase::Ended { .. } => SessionState::Ended,
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Created | Phase::Claimed { .. } => None,
            Phase::Ended { outcome, .. } => Some(outcome),
        }
    }

    pub(crate) fn device(&self) -> Option<&DeviceKey> {
        match &self.phase {
            Phase::Claimed { device, .. } => Some(device),
            Phase::Created | Phase::Ended { .. } => None,
        }
    }

    /// How long ago it was claimed, if that was at this server.
    pub(crate) fn since_claim(&self, now: Instant) -> Option<Duration> {
        self.claimed_at
            .map(|claimed| now.saturating_duration_since(claimed))
    }

    /// The viewer shows its first picture: how long after the claim, the first time it says so.
    pub(crate) fn first_frame(&mut self, now: Instant) -> Option<Duration> {
        let told_before = std::mem::replace(&mut self.first_frame_seen, true);
        self.since_claim(now).filter(|_| !told_before)
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.registered_at)
    }

    pub(crate) fn status(&self) -> SessionStatus {
        SessionStatus {
            state: self.state(),
            outcome: self.outcome(),
            invitation: Blob::from(&self.registration.invitation),
            expires_at: self.registration.expires_at,
        }
    }

    pub(crate) fn host_token_matches(&self, token: &SecretHash) -> bool {
        self.registration.host_token.matches(token)
    }

    pub(crate) fn claim_hash_matches(&self, token: &SecretHash) -> bool {
        self.registration.claim_hash.matches(token)
    }

    pub(crate) fn attach_host(
        &mut self,
        token: &SecretHash,
        outbox: Outbox,
    ) -> Result<(), SignalErrorCode> {
        if !self.host_token_matches(token) {
            return Err(SignalErrorCode::Unauthorized);
        }
        self.attach(Side::Host, outbox)
    }

    /// Whether this socket speaks for its side.
    pub(crate) fn is_attached(&mut self, side: Side, outbox_id: u64) -> bool {
        self.mailbox(side).is_attached_to(outbox_id)
    }

    /// Detaches a socket. Returns when to call [`Self::drop_abandoned`], if what it sent waits.
    pub(crate) fn detach(&mut self, side: Side, outbox_id: u64, now: Instant) -> Option<Instant> {
        if let Phase::Claimed { takeover, .. } = &mut self.phase
            && let Some(told) = takeover.withdraw(outbox_id, now)
        {
            self.viewer.deliver(&told);
            return None;
        }
        if self.mailbox(side).detach(outbox_id) {
            self.mailbox(side.other())
                .deliver(&ServerMessage::Peer { present: false });
        }
        if self.mailbox(side).is_attached() {
            return None;
        }
        self.mailbox(side.other()).writer_left(now)
    }

    /// Empties mailboxes whose writers left long ago.
    pub(crate) fn drop_abandoned(&mut self, now: Instant) {
        self.host.drop_abandoned(now);
        self.viewer.drop_abandoned(now);
    }

    /// Passes a blob on from `side`; `None` once the session is over.
    pub(crate) fn forward(&mut self, side: Side, data: Blob) -> Option<Delivery> {
        if self.outcome().is_some() {
            return None;
        }
        // Nothing is kept for a viewer before there is one: a host has nothing to say before a hello.
        if self.state() == SessionState::Created {
            return Some(Delivery::Dropped);
        }
        let receiver = side.other();
        let was_there = self.mailbox(receiver).is_attached();
        let delivery = self.mailbox(receiver).deliver_sealed(data);
        if was_there && !self.mailbox(receiver).is_attached() {
            self.mailbox(side)
                .deliver(&ServerMessage::Peer { present: false });
        }
        Some(delivery)
    }

    /// Ends the session; `None` if it had ended before, else whether the relay holds legs.
    pub(crate) fn end(&mut self, outcome: Outcome, forget_at: Instant) -> Option<bool> {
        let held = match &self.phase {
            Phase::Ended { .. } => return None,
            Phase::Created => false,
            Phase::Claimed { relay, .. } => *relay == RelayState::Open,
        };
        let over = Phase::Ended { outcome, forget_at };
        if let Phase::Claimed { mut takeover, .. } = std::mem::replace(&mut self.phase, over) {
            takeover.end(outcome);
        }
        for side in [Side::Host, Side::Viewer] {
            let mailbox = self.mailbox(side);
            mailbox.deliver(&ServerMessage::Ended { outcome });
            mailbox.reset(Closing::Normal);
        }
        Some(held)
    }

    /// Sends both sides away to come back: another node has the session now.
    pub(crate) fn release(&mut self) {
        for side in [Side::Host, Side::Viewer] {
            self.mailbox(side).reset(Closing::Restart);
        }
    }

    pub(crate) fn timer_action(&self, now: Instant) -> TimerAction {
        match self.phase {
            Phase::Ended { forget_at, .. } if now >= forget_at => TimerAction::Forget,
            Phase::Created | Phase::Claimed { .. } if now >= self.registration.deadline => {
                TimerAction::Expire
            }
            Phase::Created | Phase::Claimed { .. } | Phase::Ended { .. } => TimerAction::Nothing,
        }
    }

    fn attach(&mut self, side: Side, outbox: Outbox) -> Result<(), SignalErrorCode> {
        if self.outcome().is_some() {
            return Err(SignalErrorCode::Ended);
        }
        let welcome = ServerMessage::Welcome {
            state: self.state(),
            peer: self.mailbox(side.other()).is_attached(),
            device: self.device().map(|device| Blob::from(device.as_bytes())),
            expires_at: self.registration.expires_at,
            first_frame: side == Side::Viewer
                && self.claimed_at.is_some()
                && !self.first_frame_seen,
        };
        let is_new = !self.mailbox(side).is_attached();
        self.mailbox(side).attach(outbox, &welcome);
        self.mailbox(side.other()).writer_came();
        if side == Side::Viewer
            && let Phase::Claimed { takeover, .. } = &self.phase
            && let Some(asked) = takeover.open_question()
        {
            self.viewer.deliver(&asked);
        }
        if is_new {
            self.mailbox(side.other())
                .deliver(&ServerMessage::Peer { present: true });
        }
        Ok(())
    }

    fn mailbox(&mut self, side: Side) -> &mut SideMailbox {
        match side {
            Side::Host => &mut self.host,
            Side::Viewer => &mut self.viewer,
        }
    }
}

#[cfg(test)]
mod tests;
