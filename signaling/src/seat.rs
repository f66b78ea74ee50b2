//! One side's place at a session: its socket if it is there, its mailbox if it is not.

use std::collections::VecDeque;

use authloop_protocol::{
    id::Blob,
    signal::{LegIce, MAX_MAILBOX_BLOBS, ServerMessage, SignalErrorCode, TurnService},
};

use crate::{
    outbox::{Closing, Outbox},
    relay::LegParameters,
};

#[derive(Default)]
pub(crate) struct Seat {
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
    Kept,
    /// It is, and the oldest in the mailbox had to go for it.
    KeptForOldest,
}

impl Seat {
    /// An empty seat whose leg's generations rise from this one. It starts at the time, so that
    /// they rise across a restart of the server too.
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.outbox.is_some()
    }

    /// Seats a socket and hands it what waited; the one it replaces closes with 4499.
    pub(crate) fn sit(&mut self, outbox: Outbox, welcome: &ServerMessage) {
        if let Some(old) = self.outbox.take() {
            old.close(Closing::Error(
                SignalErrorCode::Replaced,
                "a newer connection of this side took over",
            ));
        }
        self.outbox = Some(outbox);
        self.tell(welcome);
        if let Some(ice) = self.ice.clone() {
            self.tell(&ServerMessage::Ice(ice));
        }
        for data in std::mem::take(&mut self.mailbox) {
            self.deliver(data);
        }
    }

    pub(crate) fn is_of(&self, outbox_id: u64) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| outbox.id() == outbox_id)
    }

    /// Frees the seat if this socket still has it.
    pub(crate) fn leave(&mut self, outbox_id: u64) -> bool {
        let had_it = self.is_of(outbox_id);
        if had_it {
            self.outbox = None;
        }
        had_it
    }

    /// Sends a message if the side is there; a socket that reads too slowly loses its seat.
    pub(crate) fn tell(&mut self, message: &ServerMessage) {
        let slow = self
            .outbox
            .as_ref()
            .is_some_and(|outbox| outbox.send(message).is_err());
        if slow {
            self.outbox = None;
        }
    }

    /// Sends a blob, or keeps it until the side comes.
    pub(crate) fn deliver(&mut self, data: Blob) -> Delivery {
        if let Some(outbox) = &self.outbox {
            let message = ServerMessage::Sealed { data };
            if outbox.send(&message).is_ok() {
                return Delivery::Kept;
            }
            self.outbox = None;
            if let ServerMessage::Sealed { data } = message {
                return self.keep(data);
            }
            return Delivery::Kept;
        }
        self.keep(data)
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
        self.tell(&ServerMessage::Ice(ice));
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
    pub(crate) fn cut(&mut self, closing: Closing) {
        if let Some(outbox) = self.outbox.take() {
            outbox.close(closing);
        }
    }

    /// Empties the seat for another device: what waits was meant for the old one, and so were the
    /// leg's parameters. Whether the caller must now ask the relay to restart the leg.
    pub(crate) fn vacate(&mut self, closing: Closing) -> bool {
        let restarts = self.begin_restart();
        self.clear(closing);
        restarts
    }

    /// Ends the socket after what is queued and drops what waits.
    pub(crate) fn clear(&mut self, closing: Closing) {
        self.cut(closing);
        self.mailbox = VecDeque::new();
        self.ice = None;
    }

    fn keep(&mut self, data: Blob) -> Delivery {
        let full = self.mailbox.len() >= MAX_MAILBOX_BLOBS;
        if full {
            self.mailbox.pop_front();
        }
        self.mailbox.push_back(data);
        if full {
            Delivery::KeptForOldest
        } else {
            Delivery::Kept
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbox::{self, Outgoing};

    async fn sealed(outgoings: &mut outbox::Outgoings) -> Vec<u8> {
        loop {
            let Outgoing::Text(text) = outgoings.next().await else {
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
            let mut seat = Seat::default();
            let mut dropped = 0;
            for number in 0..count {
                let delivery = seat.deliver(Blob::from(number.to_be_bytes()));
                dropped += u32::from(delivery == Delivery::KeptForOldest);
            }
            let kept = count.min(u32::try_from(MAX_MAILBOX_BLOBS).unwrap());
            prop_assert_eq!(dropped, count - kept);
            let (outbox, mut outgoings) = outbox::channel(MAX_MAILBOX_BLOBS + 1);
            seat.sit(outbox, &ServerMessage::Peer { present: false });
            for number in dropped..count {
                let blob = runtime.block_on(sealed(&mut outgoings));
                prop_assert_eq!(blob, number.to_be_bytes().to_vec());
            }
        }
    }

    #[test]
    fn a_slow_reader_loses_its_seat_but_not_the_blob() {
        let mut seat = Seat::default();
        let (outbox, _outgoings) = outbox::channel(1);
        seat.sit(outbox, &ServerMessage::Peer { present: false });
        assert_eq!(seat.deliver(Blob::from([1])), Delivery::Kept);
        assert!(!seat.is_taken());
        assert_eq!(seat.mailbox.len(), 1);
    }

    #[test]
    fn only_the_socket_that_has_the_seat_can_leave_it() {
        let mut seat = Seat::default();
        let (first, _first) = outbox::channel(4);
        let (second, _second) = outbox::channel(4);
        let (first_id, second_id) = (first.id(), second.id());
        seat.sit(first, &ServerMessage::Peer { present: false });
        seat.sit(second, &ServerMessage::Peer { present: false });
        assert!(!seat.leave(first_id));
        assert!(seat.is_taken());
        assert!(seat.leave(second_id));
        assert!(!seat.is_taken());
    }
}
