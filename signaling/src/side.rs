//! One side of a session: its socket while it is there, its mailbox while it is not.

use std::collections::VecDeque;

use authloop_protocol::{
    id::Blob,
    signal::{LegIce, MAX_MAILBOX_BLOBS, ServerMessage, SignalErrorCode, TurnService},
};

use crate::{
    outbox::{Closing, Outbox},
    relay::LegParameters,
};

/// One side of a session.
#[derive(Default)]
pub(crate) struct SideMailbox {
    outbox: Option<Outbox>,
    mailbox: VecDeque<Blob>,
    ice: Option<LegIce>,
    generation: u32,
    restarting: bool,
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is in the socket's queue or the mailbox.
    Accepted,
    /// It is, and the oldest in the mailbox had to go for it.
    OldestDropped,
}

impl SideMailbox {
    /// A side that has no socket yet, whose leg's generations rise from this one. It starts at the time,
    /// so that they rise across a restart of the server too.
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            generation,
            ..Self::default()
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
        for data in std::mem::take(&mut self.mailbox) {
            self.deliver_sealed(data);
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
        self.mailbox.push_back(data);
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
            let (outbox, mut outbox_rx) = outbox::channel(MAX_MAILBOX_BLOBS + 1);
            side.attach(outbox, &ServerMessage::Peer { present: false });
            for number in dropped..count {
                let blob = runtime.block_on(sealed(&mut outbox_rx));
                prop_assert_eq!(blob, number.to_be_bytes().to_vec());
            }
        }
    }

    #[test]
    fn a_slow_reader_is_detached_and_the_blob_is_kept() {
        let mut side = SideMailbox::default();
        let (outbox, _outbox_rx) = outbox::channel(1);
        side.attach(outbox, &ServerMessage::Peer { present: false });
        assert_eq!(side.deliver_sealed(Blob::from([1])), Delivery::Accepted);
        assert!(!side.is_attached());
        assert_eq!(side.mailbox.len(), 1);
    }

    #[test]
    fn only_the_attached_socket_can_be_detached() {
        let mut side = SideMailbox::default();
        let (first, _first) = outbox::channel(4);
        let (second, _second) = outbox::channel(4);
        let (first_id, second_id) = (first.id(), second.id());
        side.attach(first, &ServerMessage::Peer { present: false });
        side.attach(second, &ServerMessage::Peer { present: false });
        assert!(!side.detach(first_id));
        assert!(side.is_attached());
        assert!(side.detach(second_id));
        assert!(!side.is_attached());
    }
}
