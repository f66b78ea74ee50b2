//! One side of a session: its socket while it is there, its mailbox while it is not.

use std::{collections::VecDeque, time::Duration};

use authloop_protocol::{
    id::Blob,
    signal::{LegIce, MAX_MAILBOX_BLOBS, ServerMessage, SignalErrorCode, TurnService},
};
use tokio::time::Instant;

use crate::{
    byte_budget::{BudgetShare, ByteBudget},
    outbox::{Closing, Outbox},
    relay::LegParameters,
};

/// How long a mailbox outlives its writer's socket: who comes back later begins anew anyhow.
pub(crate) const MAILBOX_RETENTION: Duration = Duration::from_secs(5 * 60);

/// One side of a session.
#[cfg_attr(test, derive(Default))]
pub(crate) struct SideMailbox {
    outbox: Option<Outbox>,
    mailbox: VecDeque<StoredBlob>,
    /// Bytes that all mailboxes share.
    budget: ByteBudget,
    /// Since when the one who fills the mailbox has no socket.
    writer_left: Option<Instant>,
    ice: Option<LegIce>,
    generation: u32,
    restarting: bool,
}

struct StoredBlob {
    data: Blob,
    _share: BudgetShare,
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is in the socket's queue or the mailbox.
    Accepted,
    /// It is, and the oldest in the mailbox had to go for it.
    OldestDropped,
    /// It is not: nobody is to have it, or the mailboxes of all sessions are full.
    Dropped,
}

impl SideMailbox {
    /// A side that has no socket yet, whose leg's generations rise from this one. It starts at the time,
    /// so that they rise across a restart of the server too.
    pub(crate) fn new(generation: u32, budget: ByteBudget) -> Self {
        Self {
            outbox: None,
            mailbox: VecDeque::new(),
            budget,
            writer_left: None,
            ice: None,
            generation,
            restarting: false,
        }
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.outbox.is_some()
    }

    /// Attaches a socket and hands it what waited; the one it replaces closes with 4499.
    pub(crate) fn attach(&mut self, outbox: Outbox, welcome: &ServerMessage) {
        if let Some(old) = self.outbox.take() {
            old.close(Closing::Error(
                SignalErrorCode::Replaced,
                "a newer connection of this side took over",
            ));
        }
        self.outbox = Some(outbox);
        self.deliver(welcome);
        if let Some(ice) = self.ice.clone() {
            self.deliver(&ServerMessage::Ice(ice));
        }
        for stored in std::mem::take(&mut self.mailbox) {
            self.deliver_sealed(stored.data);
        }
    }

    pub(crate) fn is_attached_to(&self, outbox_id: u64) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| outbox.id() == outbox_id)
    }

    /// Detaches this socket if it is still the one attached; returns whether it was.
    pub(crate) fn detach(&mut self, outbox_id: u64) -> bool {
        let was_attached = self.is_attached_to(outbox_id);
        if was_attached {
            self.outbox = None;
        }
        was_attached
    }

    /// Sends a message if the side is there; a socket that reads too slowly is detached.
    pub(crate) fn deliver(&mut self, message: &ServerMessage) {
        let slow = self
            .outbox
            .as_ref()
            .is_some_and(|outbox| outbox.send(message).is_err());
        if slow {
            self.outbox = None;
        }
    }

    /// Sends a blob, or keeps it until the side comes.
    pub(crate) fn deliver_sealed(&mut self, data: Blob) -> Delivery {
        if let Some(outbox) = &self.outbox {
            let message = ServerMessage::Sealed { data };
            if outbox.send(&message).is_ok() {
                return Delivery::Accepted;
            }
            self.outbox = None;
            if let ServerMessage::Sealed { data } = message {
                return self.store(data);
            }
            return Delivery::Accepted;
        }
        self.store(data)
    }

    /// The other side, which fills the mailbox, has a socket.
    pub(crate) fn writer_came(&mut self) {
        self.writer_left = None;
    }

    /// The other side has lost its socket. Returns when to empty the mailbox, if there is anything in it.
    pub(crate) fn writer_left(&mut self, now: Instant) -> Option<Instant> {
        self.writer_left = Some(now);
        (!self.mailbox.is_empty()).then(|| now + MAILBOX_RETENTION)
    }

    /// Empties a mailbox whose writer left long ago.
    pub(crate) fn drop_abandoned(&mut self, now: Instant) {
        let left = self.writer_left;
        if left.is_some_and(|left| now.saturating_duration_since(left) >= MAILBOX_RETENTION) {
            self.mailbox = VecDeque::new();
        }
    }

    /// Takes the relay's parameters under the next generation and passes them on.
    pub(crate) fn set_ice(&mut self, leg: LegParameters) {
        self.restarting = false;
        self.generation = self.generation.saturating_add(1);
        let turn = (!leg.turn.is_empty()).then(|| TurnService {
            urls: leg.turn,
            username: leg.ufrag.clone(),
            credential: leg.pwd.clone(),
        });
        let ice = LegIce {
            generation: self.generation,
            ufrag: leg.ufrag,
            pwd: leg.pwd,
            candidates: leg.candidates,
            tcp: leg.tcp,
            turn,
        };
        self.ice = Some(ice.clone());
        self.deliver(&ServerMessage::Ice(ice));
    }

    /// Marks a restart as begun; `false` when there is no leg or one is under way already.
    pub(crate) fn begin_restart(&mut self) -> bool {
        let begins = self.ice.is_some() && !self.restarting;
        self.restarting |= begins;
        begins
    }

    pub(crate) fn restart_failed(&mut self) {
        self.restarting = false;
    }

    pub(crate) fn forget_ice(&mut self) {
        self.ice = None;
        self.restarting = false;
    }

    /// Ends the socket after what is queued; what waits goes on waiting.
    pub(crate) fn disconnect(&mut self, closing: Closing) {
        if let Some(outbox) = self.outbox.take() {
            outbox.close(closing);
        }
    }

    /// Makes room for another device: what waits was meant for the old one, and so were the leg's
    /// parameters. Returns whether the caller must now ask the relay to restart the leg.
    pub(crate) fn reassign(&mut self, closing: Closing) -> bool {
        let restarts = self.begin_restart();
        self.reset(closing);
        restarts
    }

    /// Ends the socket after what is queued and drops what waits.
    pub(crate) fn reset(&mut self, closing: Closing) {
        self.disconnect(closing);
        self.mailbox = VecDeque::new();
        self.ice = None;
    }

    fn store(&mut self, data: Blob) -> Delivery {
        let full = self.mailbox.len() >= MAX_MAILBOX_BLOBS;
        if full {
            self.mailbox.pop_front();
        }
        let Some(share) = self.budget.try_take(data.0.len()) else {
            return Delivery::Dropped;
        };
        self.mailbox.push_back(StoredBlob {
            data,
            _share: share,
        });
        if full {
            Delivery::OldestDropped
        } else {
            Delivery::Accepted
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbox::{self, OutgoingFrame};

    async fn sealed(outbox_rx: &mut outbox::OutboxReceiver) -> Vec<u8> {
        loop {
            let OutgoingFrame::Text(text) = outbox_rx.next().await else {
                panic!("closed");
            };
            if let ServerMessage::Sealed { data } = serde_json::from_str(&text).unwrap() {
                return data.0;
            }
        }
    }

    proptest! {
        /// Whatever was put in while nobody was there comes out in order, the last 16 of it.
        #[test]
        fn the_mailbox_keeps_the_newest_in_order(count in 0u32..60) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut side = SideMailbox::default();
            let mut dropped = 0;
            for number in 0..count {
                let delivery = side.deliver_sealed(Blob::from(number.to_be_bytes()));
                dropped += u32::from(delivery == Delivery::OldestDropped);
            }
            let kept = count.min(u32::try_from(MAX_MAILBOX_BLOBS).unwrap());
            prop_assert_eq!(dropped, count - kept);
            let (outbox, mut outbox_rx) = outbox::channel(MAX_MAILBOX_BLOBS + 1, &ByteBudget::default());
            side.attach(outbox, &ServerMessage::Peer { present: false });
            for number in dropped..count {
                let blob = runtime.block_on(sealed(&mut outbox_rx));
                prop_assert_eq!(blob, number.to_be_bytes().to_vec());
            }
        }
    }

    #[test]
    fn all_mailboxes_together_are_bounded() {
        let budget = ByteBudget::new(3);
        let mailbox = || SideMailbox::new(0, budget.clone());
        let (mut first, mut second) = (mailbox(), mailbox());
        assert_eq!(first.deliver_sealed(Blob::from([1; 2])), Delivery::Accepted);
        assert_eq!(second.deliver_sealed(Blob::from([2; 2])), Delivery::Dropped);
        assert_eq!(second.deliver_sealed(Blob::from([3])), Delivery::Accepted);

        first.reset(Closing::Normal);

        assert_eq!(
            second.deliver_sealed(Blob::from([4; 2])),
            Delivery::Accepted
        );
    }

    #[test]
    fn a_mailbox_whose_writer_left_is_emptied_after_a_while() {
        let mut side = SideMailbox::default();
        let begin = Instant::now();
        assert_eq!(side.writer_left(begin), None);
        side.writer_came();
        side.deliver_sealed(Blob::from([1]));
        let due = side.writer_left(begin).unwrap();
        side.drop_abandoned(due - Duration::from_secs(1));
        assert_eq!(side.mailbox.len(), 1);
        side.writer_came();
        side.drop_abandoned(due);
        assert_eq!(side.mailbox.len(), 1, "the writer is back");
        side.writer_left(begin);
        side.drop_abandoned(due);
        assert_eq!(side.mailbox.len(), 0);
    }

    #[test]
    fn a_slow_reader_is_detached_and_the_blob_is_kept() {
        let mut side = SideMailbox::default();
        let (outbox, _outbox_rx) = outbox::channel(1, &ByteBudget::default());
        side.attach(outbox, &ServerMessage::Peer { present: false });
        assert_eq!(side.deliver_sealed(Blob::from([1])), Delivery::Accepted);
        assert!(!side.is_attached());
        assert_eq!(side.mailbox.len(), 1);
    }

    #[test]
    fn only_the_attached_socket_can_be_detached() {
        let mut side = SideMailbox::default();
        let (first, _first) = outbox::channel(4, &ByteBudget::default());
        let (second, _second) = outbox::channel(4, &ByteBudget::default());
        let (first_id, second_id) = (first.id(), second.id());
        side.attach(first, &ServerMessage::Peer { present: false });
        side.attach(second, &ServerMessage::Peer { present: false });
        assert!(!side.detach(first_id));
        assert!(side.is_attached());
        assert!(side.detach(second_id));
        assert!(!side.is_attached());
    }
}
