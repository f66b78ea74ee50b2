//! One validated address of a leg, and what is known of it.

use std::time::{Duration, Instant};

use crate::{PathAddr, stun::TransactionId};

/// RFC 7675 §5.1: consent lasts this long after the last authenticated check.
const CONSENT_TIMEOUT_MS: u64 = 30_000;
/// A path counts as quiet after this long without a packet. Checks come every 2 to 2.5 s.
const QUIET_AFTER_MS: u64 = 3_000;
/// An address that another leg claims stays with its owner if that has sent a check within this time.
const ADDRESS_OWNERSHIP_MS: u64 = 10_000;
/// The shortest time between two of the relay's own checks on one path.
const MIN_PROBE_INTERVAL_MS: u64 = 100;
/// Bytes that may be sent to an unproven address for each byte received from it (RFC 9000 §8.1).
const MAX_AMPLIFICATION_RATIO: u32 = 3;

/// Milliseconds since the relay began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

/// One address that proved itself with the leg's password.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) addr: PathAddr,
    /// Which of the leg's credentials the last check used.
    pub(crate) generation: u8,
    /// Whether one of those credentials' checks nominated it.
    pub(crate) nominated: bool,
    proof: Proof,
    consented: Tick,
    heard: Tick,
}

/// Whether what is sent to an address arrives at the one who sends from it.
#[derive(Debug)]
enum Proof {
    /// An answer to the relay's own check came back.
    Proven,
    /// Bytes from and to the address so far, and the check that is under way.
    Unproven {
        received: u32,
        sent: u32,
        probe: Option<(TransactionId, Tick)>,
    },
}

impl Tick {
    pub(crate) fn new(epoch: Instant, now: Instant) -> Self {
        Self(now.saturating_duration_since(epoch).as_millis() as u64)
    }

    pub(crate) fn instant(self, epoch: Instant) -> Instant {
        epoch + Duration::from_millis(self.0)
    }

    #[inline]
    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Path {
    pub(crate) fn new(now: Tick, addr: PathAddr, generation: u8) -> Self {
        let proof = Proof::Unproven {
            received: 0,
            sent: 0,
            probe: None,
        };
        Self {
            addr,
            generation,
            nominated: false,
            proof,
            consented: now,
            heard: now,
        }
    }

    /// Notes an authenticated message.
    pub(crate) fn consent(&mut self, now: Tick, generation: u8) {
        self.consented = now;
        self.nominated &= self.generation == generation;
        self.generation = generation;
    }

    /// Notes any packet at all.
    #[inline]
    pub(crate) fn record_received(&mut self, now: Tick, bytes: usize) {
        self.heard = now;
        if let Proof::Unproven { received, .. } = &mut self.proof {
            *received = received.saturating_add(bytes as u32);
        }
    }

    #[inline]
    pub(crate) fn has_consent(&self, now: Tick) -> bool {
        now.since(self.consented) < CONSENT_TIMEOUT_MS
    }

    pub(crate) fn is_quiet(&self, now: Tick) -> bool {
        now.since(self.heard) >= QUIET_AFTER_MS
    }

    pub(crate) fn is_owned(&self, now: Tick) -> bool {
        now.since(self.consented) < ADDRESS_OWNERSHIP_MS
    }

    pub(crate) fn last_consent(&self) -> Tick {
        self.consented
    }

    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.proof, Proof::Proven)
    }

    /// Counts `bytes` as sent to the address; `false` if they are more than an unproven one may get.
    #[inline]
    pub(crate) fn try_reserve(&mut self, bytes: usize) -> bool {
        match &mut self.proof {
            Proof::Proven => true,
            Proof::Unproven { received, sent, .. } => {
                let after = sent.saturating_add(bytes as u32);
                let fits = after <= received.saturating_mul(MAX_AMPLIFICATION_RATIO);
                if fits {
                    *sent = after;
                }
                fits
            }
        }
    }

    /// Whether the relay should ask the address to prove itself now.
    pub(crate) fn wants_probe(&self, now: Tick) -> bool {
        match &self.proof {
            Proof::Proven => false,
            Proof::Unproven { probe: None, .. } => true,
            Proof::Unproven {
                probe: Some((_, at)),
                ..
            } => now.since(*at) >= MIN_PROBE_INTERVAL_MS,
        }
    }

    /// The check that is under way. Sent again it keeps its transaction, or no answer would count
    /// where the way there and back takes longer than the next one.
    pub(crate) fn probe_id(&self) -> Option<TransactionId> {
        match &self.proof {
            Proof::Unproven { probe, .. } => probe.as_ref().map(|(id, _)| *id),
            Proof::Proven => None,
        }
    }

    /// Notes the check that was sent.
    pub(crate) fn probe_sent(&mut self, now: Tick, id: TransactionId) {
        if let Proof::Unproven { probe, .. } = &mut self.proof {
            *probe = Some((id, now));
        }
    }

    pub(crate) fn expects(&self, id: TransactionId) -> bool {
        matches!(&self.proof, Proof::Unproven { probe: Some((sent, _)), .. } if *sent == id)
    }

    pub(crate) fn prove(&mut self, now: Tick) {
        self.proof = Proof::Proven;
        self.consented = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path::new(Tick(0), PathAddr::from_v4([192, 0, 2, 1], 9), 0)
    }

    #[test]
    fn an_unproven_address_gets_three_times_what_came_from_it() {
        let mut path = path();
        path.record_received(Tick(0), 100);

        let answers = [200, 101, 100, 1].map(|bytes| path.try_reserve(bytes));

        assert_eq!(answers, [true, false, true, false]);
        path.prove(Tick(1));
        assert!(path.try_reserve(1 << 20));
    }

    #[test]
    fn consent_ends_after_thirty_seconds() {
        let path = path();

        assert!(path.has_consent(Tick(29_999)) && !path.has_consent(Tick(30_000)));
    }

    #[test]
    fn only_the_answer_to_the_probe_is_expected() {
        let (probe, other) = (TransactionId([1; 12]), TransactionId([2; 12]));
        let mut path = path();

        assert_eq!(path.probe_id(), None);
        path.probe_sent(Tick(0), probe);

        assert!(!path.wants_probe(Tick(99)) && path.wants_probe(Tick(100)));
        assert_eq!(path.probe_id(), Some(probe));
        assert!(path.expects(probe) && !path.expects(other));
    }
}
