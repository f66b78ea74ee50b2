//! How fine a picture is coded: pure.
//!
//! A page is still most of the time, so what counts is that a change is seen soon and that text
//! ends up sharp. A change is coded as coarsely as the bitrate asks for, coarser the more is still
//! under way; once the link has drained, refinements recode it finely.

use std::time::Duration;

/// H.264 quantizers: above, text is no longer legible; below, nothing is gained over the JPEG.
const COARSEST: i32 = 42;
const FINEST: i32 = 18;
/// A change's quantizer at [`REFERENCE_BITRATE`]. OpenH264 recodes a still block only if it was
/// coded above 26 and now is finer by 6 or more.
const REFERENCE: f64 = 28.0;
const REFERENCE_BITRATE: f64 = 2_500_000.0;
/// A halved bitrate is answered by this much (6 would halve the bits).
const PER_HALVING: f64 = 2.5;
/// A link this far behind is answered by [`PER_BACKLOG`].
const BACKLOG: f64 = 0.3;
const PER_BACKLOG: f64 = 10.0;
/// Each refinement is finer by this much.
const PER_REFINEMENT: i32 = 8;

/// What a picture is coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is new.
    Change,
    /// The viewer needs a picture that stands alone.
    Keyframe,
    /// It was coded before, and is to be sharper: the how-manieth time, from 1.
    Refinement(u32),
}

/// Chooses quantizers, given what was sent.
#[derive(Debug)]
pub(super) struct Quality {
    bitrate: f64,
    /// Bits that are still under way.
    backlog: f64,
    last: Option<Duration>,
    /// Of the last picture that was not a refinement.
    coarse: i32,
}

impl Quality {
    pub(super) fn new(bitrate: u32) -> Self {
        Self {
            bitrate: f64::from(bitrate.max(1)),
            backlog: 0.0,
            last: None,
            coarse: COARSEST,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32) {
        self.bitrate = f64::from(bitrate.max(1));
    }

    /// The quantizer for a picture at `at`, which must not go backwards.
    pub(super) fn quantizer(&mut self, purpose: Purpose, at: Duration) -> i32 {
        let passed = at.saturating_sub(self.last.unwrap_or(at));
        self.last = Some(at);
        self.backlog = (self.backlog - passed.as_secs_f64() * self.bitrate).max(0.0);
        if let Purpose::Refinement(time) = purpose {
            let finer = i32::try_from(time).unwrap_or(4).min(4) * PER_REFINEMENT;
            return (self.coarse - finer).clamp(FINEST, COARSEST);
        }
        let halvings = (REFERENCE_BITRATE / self.bitrate).log2();
        let behind = (self.backlog / self.bitrate / BACKLOG).min(2.0);
        let chosen = REFERENCE + PER_HALVING * halvings.max(0.0) + PER_BACKLOG * behind;
        self.coarse = (chosen.round() as i32).clamp(FINEST, COARSEST);
        self.coarse
    }

    /// A picture became this many bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.backlog += bytes as f64 * 8.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_link_and_a_backlog_are_coarser_and_time_heals() {
        let mut fast = Quality::new(2_500_000);
        let mut slow = Quality::new(300_000);
        assert!(fast.quantizer(Purpose::Change, START) < slow.quantizer(Purpose::Keyframe, START));

        let fresh = fast.quantizer(Purpose::Change, START);
        fast.sent(200_000);
        let behind = fast.quantizer(Purpose::Change, START);
        let later = fast.quantizer(Purpose::Change, START + Duration::from_secs(2));

        assert!(behind > fresh);
        assert_eq!(later, fresh);
    }

    #[test]
    fn every_refinement_is_finer_until_nothing_is_gained() {
        let mut quality = Quality::new(500_000);
        let change = quality.quantizer(Purpose::Change, START);

        let finer: Vec<i32> = (1..=3)
            .map(|time| quality.quantizer(Purpose::Refinement(time), START))
            .collect();

        // Six at least, or OpenH264 skips what it thinks is good enough.
        assert!(
            change - finer[0] >= 6 && finer[0] - finer[1] >= 6,
            "{change} {finer:?}"
        );
        assert_eq!(finer[2], FINEST);
    }
}
