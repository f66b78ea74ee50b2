//! A device that asks for a session which another device has.

use std::time::Duration;

use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    signal::{Outcome, ServerMessage, SignalErrorCode},
};
use tokio::time::Instant;

use super::TakeoverCommitment;
use crate::outbox::{Closing, Outbox};

/// Past this a request that nobody answered makes room for the next.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nobody may ask after the first request without consent; each further one doubles it.
/// Somebody who has the link must not pester the user.
const FIRST_COOLDOWN: Duration = Duration::from_secs(15);
/// Requests without consent in a session's life; past that nobody may ask.
const MAX_FAILED_REQUESTS: u32 = 5;

/// The device that asks, if there is one; at most one at a time.
#[derive(Default)]
pub(super) struct Takeover {
    pending: Option<Box<TakeoverRequest>>,
    /// Requests that ended without consent, however they ended.
    failed: u32,
    cooldown_until: Option<Instant>,
}

struct TakeoverRequest {
    device: DeviceKey,
    commitment: TakeoverCommitment,
    /// The device has had a nonce and not opened its commitment since.
    may_open: bool,
    outbox: Outbox,
    since: Instant,
}

impl Takeover {
    /// Gives a request up that nobody has answered in time.
    pub(super) fn expire(&mut self, now: Instant) {
        let overdue = self
            .pending
            .take_if(|pending| now.saturating_duration_since(pending.since) >= REQUEST_TIMEOUT);
        if let Some(pending) = overdue {
            self.fail(pending.since + REQUEST_TIMEOUT);
            pending.outbox.close(REFUSED);
        }
    }

    /// Whether the device that has the session may be asked for it now; what is overdue has expired.
    pub(super) fn may_ask(
        &self,
        device: &DeviceKey,
        commitment: TakeoverCommitment,
        now: Instant,
    ) -> bool {
        if let Some(pending) = &self.pending {
            return pending.device == *device && pending.commitment == commitment;
        }
        let cooling_down = self.cooldown_until.is_some_and(|until| now < until);
        self.failed < MAX_FAILED_REQUESTS && !cooling_down
    }

    /// Lets `device` wait at its socket. Returns the question for the device that has the session.
    pub(super) fn ask(
        &mut self,
        device: DeviceKey,
        commitment: TakeoverCommitment,
        outbox: Outbox,
        now: Instant,
    ) -> ServerMessage {
        // A queue that has just been made has room.
        let _fits = outbox.send(&ServerMessage::Waiting {});
        let old = self.pending.replace(Box::new(TakeoverRequest {
            device,
            commitment,
            may_open: false,
            outbox,
            since: now,
        }));
        if let Some(old) = old {
            old.outbox.close(REFUSED);
        }
        question(self.pending.as_deref())
    }

    /// The question that is open, for a device that has only just come back.
    pub(super) fn open_question(&self) -> Option<ServerMessage> {
        self.pending
            .is_some()
            .then(|| question(self.pending.as_deref()))
    }

    /// Passes the holder's nonce on to the device whose commitment it answers.
    pub(super) fn answer(&mut self, commitment: TakeoverCommitment, nonce: Blob) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        if pending.commitment == commitment {
            pending.may_open = true;
            // A device that does not read is cut, and asks no more.
            let _fits = pending.outbox.send(&ServerMessage::TakeoverNonce { nonce });
        }
    }

    /// Returns what tells the holder who asks; one opening a nonce, so that nobody fills its queue.
    pub(super) fn open(&mut self, outbox_id: u64, opening: Blob) -> Option<ServerMessage> {
        let pending = self.pending.as_mut()?;
        let may_open = pending.outbox.id() == outbox_id && std::mem::take(&mut pending.may_open);
        may_open.then(|| ServerMessage::TakeoverOpened {
            device: Blob::from(pending.device.as_bytes()),
            opening,
        })
    }

    /// Gives the session to `device`. Returns its socket, if it is the one that waits; any other that
    /// waits is refused.
    pub(super) fn grant(&mut self, device: &DeviceKey) -> Option<Outbox> {
        let pending = self.pending.take()?;
        if pending.device == *device {
            return Some(pending.outbox);
        }
        pending.outbox.close(REFUSED);
        None
    }

    /// Refuses the device of this commitment; returns whether it had asked.
    pub(super) fn refuse(&mut self, commitment: TakeoverCommitment, now: Instant) -> bool {
        let meant = self
            .pending
            .take_if(|pending| pending.commitment == commitment);
        let Some(pending) = meant else {
            return false;
        };
        pending.outbox.close(REFUSED);
        self.fail(now);
        true
    }

    /// Takes note that a socket closed. If it was the waiting one, returns what takes the question
    /// back. That costs what a refusal does: a question that is gone before anybody can answer it
    /// pesters the user all the same.
    pub(super) fn withdraw(&mut self, outbox_id: u64, now: Instant) -> Option<ServerMessage> {
        self.pending
            .take_if(|pending| pending.outbox.id() == outbox_id)?;
        self.fail(now);
        Some(question(None))
    }

    /// The session is over.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if let Some(pending) = self.pending.take() {
            let _slow = pending.outbox.send(&ServerMessage::Ended { outcome });
            pending.outbox.close(Closing::Normal);
        }
    }

    /// A request ended without consent.
    fn fail(&mut self, at: Instant) {
        self.cooldown_until = Some(at + FIRST_COOLDOWN * (1 << self.failed));
        self.failed += 1;
    }
}

const REFUSED: Closing = Closing::Error(
    SignalErrorCode::AlreadyClaimed,
    "the other device kept the session",
);

fn question(pending: Option<&TakeoverRequest>) -> ServerMessage {
    ServerMessage::Takeover {
        commitment: pending.map(|pending| Blob::from(pending.commitment.0)),
    }
}
