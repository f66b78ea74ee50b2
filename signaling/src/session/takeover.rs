//! A device that asks for a session which another one has.

use std::time::Duration;

use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    signal::{Outcome, ServerMessage, SignalErrorCode},
};
use tokio::time::Instant;

use crate::outbox::{Closing, Outbox};

/// Past this a question that nobody answered makes room for the next.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a refusal nobody may ask for so long: whoever has the link must not pester the user.
const PEACE: Duration = Duration::from_secs(15);

/// Who asks, if anyone; at most one at a time.
#[derive(Default)]
pub(super) struct Takeover {
    asking: Option<Box<Asking>>,
    peace_until: Option<Instant>,
}

struct Asking {
    device: DeviceKey,
    outbox: Outbox,
    since: Instant,
}

impl Takeover {
    /// Whether the device that has the session may be asked for it now.
    pub(super) fn may_ask(&self, device: &DeviceKey, now: Instant) -> bool {
        let peace = self.peace_until.is_some_and(|until| now < until);
        let taken = self.asking.as_ref().is_some_and(|asking| {
            asking.device != *device && now.saturating_duration_since(asking.since) < PATIENCE
        });
        !peace && !taken
    }

    /// Lets `device` wait at its socket. Gives what the one that has the session is to be told.
    pub(super) fn ask(&mut self, device: DeviceKey, outbox: Outbox, now: Instant) -> ServerMessage {
        // A queue that has just been made has room.
        let _fits = outbox.send(&ServerMessage::Waiting {});
        let old = self.asking.replace(Box::new(Asking {
            device,
            outbox,
            since: now,
        }));
        if let Some(old) = old {
            old.outbox.close(NO);
        }
        question(self.asking.as_deref())
    }

    /// The question that is open, for one that has only just come back.
    pub(super) fn asked(&self) -> Option<ServerMessage> {
        self.asking
            .is_some()
            .then(|| question(self.asking.as_deref()))
    }

    /// The session goes to `device`: its socket, if it is the one that waits. Any other is refused.
    pub(super) fn granted(&mut self, device: &DeviceKey) -> Option<Outbox> {
        let asking = self.asking.take()?;
        if asking.device == *device {
            return Some(asking.outbox);
        }
        asking.outbox.close(NO);
        None
    }

    /// The one that has the session keeps it; whether this one had asked.
    pub(super) fn refuse(&mut self, device: &[u8], now: Instant) -> bool {
        let meant = self
            .asking
            .take_if(|asking| asking.device.as_bytes().as_slice() == device);
        let Some(asking) = meant else {
            return false;
        };
        asking.outbox.close(NO);
        self.peace_until = Some(now + PEACE);
        true
    }

    /// A socket closed; if it was the waiting one, what the other is to be told.
    pub(super) fn left(&mut self, outbox_id: u64) -> Option<ServerMessage> {
        self.asking
            .take_if(|asking| asking.outbox.id() == outbox_id)
            .map(|_| question(None))
    }

    /// The session is over.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if let Some(asking) = self.asking.take() {
            let _slow = asking.outbox.send(&ServerMessage::Ended { outcome });
            asking.outbox.close(Closing::Normal);
        }
    }
}

const NO: Closing = Closing::Error(
    SignalErrorCode::AlreadyClaimed,
    "the other device kept the session",
);

fn question(asking: Option<&Asking>) -> ServerMessage {
    ServerMessage::Takeover {
        device: asking.map(|asking| Blob::from(asking.device.as_bytes())),
    }
}
