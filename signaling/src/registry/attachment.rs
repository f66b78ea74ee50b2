//! What a socket may do with the session that it is attached to.

use std::sync::Arc;

use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    signal::Outcome,
};
use tokio::time::Instant;

use super::shared::{RecordChange, Shared, SharedSession};
use crate::{
    audit::AuditEvent,
    observer::SignalingEvent,
    relay::Side,
    session::{TakeoverCommitment, TakeoverEffect},
    side::Delivery,
};

/// A side's hold on its session; dropping it lets go.
pub(crate) struct Attachment {
    pub(super) shared: Arc<Shared>,
    pub(super) session: SharedSession,
    pub(super) id: SessionId,
    pub(super) side: Side,
    pub(super) outbox_id: u64,
}

impl Attachment {
    pub(crate) fn forward(&self, data: Blob) {
        let receiver = self.side.other();
        match self.session.lock().forward(self.side, data) {
            None => {}
            Some(Delivery::Accepted) => self
                .shared
                .observer
                .observe(SignalingEvent::Forwarded(receiver)),
            Some(Delivery::OldestDropped) => {
                self.shared
                    .observer
                    .observe(SignalingEvent::Forwarded(receiver));
                self.shared
                    .observer
                    .observe(SignalingEvent::MailboxDropped(receiver));
            }
            Some(Delivery::Dropped) => self
                .shared
                .observer
                .observe(SignalingEvent::MailboxDropped(receiver)),
        }
    }

    /// Whether this socket speaks for its side.
    pub(crate) fn is_attached(&self) -> bool {
        self.session.lock().is_attached(self.side, self.outbox_id)
    }

    /// The host says that the viewer gave the session to `device`.
    pub(crate) fn take_over(&self, device: DeviceKey) {
        let taken = self.session.lock().take_over(device);
        self.shared.changed(self.id, RecordChange::Device);
        if taken.is_some() {
            let taken_over = AuditEvent::SessionTakenOver { session: self.id };
            self.shared.observer.audit(taken_over);
        }
        if taken == Some(TakeoverEffect::RestartLeg) {
            // What the old device knows of the leg must not open it any more.
            let (session, id) = (self.session.clone(), self.id);
            tokio::spawn(self.shared.clone().restart_leg(session, id, Side::Viewer));
        }
    }

    /// The viewer keeps the session, whoever asked for it.
    pub(crate) fn refuse_takeover(&self, commitment: TakeoverCommitment) {
        let now = Instant::now();
        let refused = self.session.lock().refuse_takeover(commitment, now);
        if refused {
            let refused = AuditEvent::TakeoverRefused { session: self.id };
            self.shared.observer.audit(refused);
        }
    }

    /// The viewer answers a device that asks for its session.
    pub(crate) fn answer_takeover(&self, commitment: TakeoverCommitment, nonce: Blob) {
        self.session.lock().answer_takeover(commitment, nonce);
    }

    /// The device that asks for the session says who it is.
    pub(crate) fn open_takeover(&self, opening: Blob) {
        self.session.lock().open_takeover(self.outbox_id, opening);
    }

    /// The viewer shows its first picture.
    pub(crate) fn first_frame(&self) {
        let after = self.session.lock().first_frame(Instant::now());
        if let Some(after) = after {
            self.shared
                .observer
                .observe(SignalingEvent::FirstFrame { after });
        }
    }

    pub(crate) async fn set_remote(&self, ufrag: String, pwd: String) {
        self.shared
            .relay
            .set_remote(self.id, self.side, ufrag, pwd)
            .await;
    }

    pub(crate) fn restart(&self) {
        let begins = self.session.lock().begin_restart(self.side);
        if begins {
            self.shared
                .observer
                .observe(SignalingEvent::Restarted(self.side));
            let (session, id, side) = (self.session.clone(), self.id, self.side);
            tokio::spawn(self.shared.clone().restart_leg(session, id, side));
        }
    }

    pub(crate) fn end(&self, outcome: Outcome) {
        self.shared.end(&self.session, outcome);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let now = Instant::now();
        let due = self.session.lock().detach(self.side, self.outbox_id, now);
        if let Some(due) = due {
            self.shared.wake_at(due, self.id);
        }
    }
}
