//! How finely a picture is coded. Pure.
//!
//! A page is still most of the time, so what counts is that a change is seen soon and that text
//! ends up sharp. A change is coded as coarsely as the bitrate requires, and coarser the more is
//! still under way; once the link has drained, refinements recode it finely.

use std::time::Duration;

/// H.264 quantizer above which text is no longer legible.
const MAX_QUANTIZER: i32 = 42;
/// H.264 quantizer below which nothing is gained over the JPEG.
const MIN_QUANTIZER: i32 = 18;
/// Quantizer of a change at [`REFERENCE_BITRATE`]. OpenH264 recodes a still block only if it was
/// coded above 26 and now is finer by 6 or more.
const REFERENCE_QUANTIZER: f64 = 28.0;
/// Bits a second.
const REFERENCE_BITRATE: f64 = 2_500_000.0;
/// Quantizer steps for each time that the bitrate is halved (6 would halve the bits).
const QUANTIZER_STEP_PER_HALVING: f64 = 2.5;
/// Quantizer steps for each [`BACKLOG_SECONDS`] that the link is behind.
const QUANTIZER_STEP_PER_BACKLOG: f64 = 10.0;
const BACKLOG_SECONDS: f64 = 0.3;
/// Most [`BACKLOG_SECONDS`] that a backlog counts as.
const MAX_BACKLOG_STEPS: f64 = 2.0;
/// Quantizer steps by which each refinement is finer.
const QUANTIZER_STEP_PER_REFINEMENT: i32 = 8;
/// Refinements after which the quantizer stays.
const MAX_REFINEMENT_STEPS: i32 = 4;

/// What a picture is coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is new.
    Change,
    /// The viewer needs a picture that stands alone.
    Keyframe,
    /// It was coded before, and is to be sharper; holds the number of the pass, from 1.
    Refinement(u32),
}

/// Chooses quantizers by the bitrate and by what is still under way.
#[derive(Debug)]
pub(super) struct QuantizerControl {
    /// Bits a second.
    bitrate: f64,
    /// Bits that are still under way.
    backlog: f64,
    /// Capture time of the last picture.
    updated_at: Option<Duration>,
    /// Quantizer of the last picture that was not a refinement.
    base_quantizer: i32,
}

impl QuantizerControl {
    pub(super) fn new(bitrate: u32) -> Self {
        Self {
            bitrate: f64::from(bitrate.max(1)),
            backlog: 0.0,
            updated_at: None,
            base_quantizer: MAX_QUANTIZER,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32) {
        self.bitrate = f64::from(bitrate.max(1));
    }

    /// Chooses the quantizer for a picture captured at `at`, which must not go backwards.
    pub(super) fn choose(&mut self, purpose: Purpose, at: Duration) -> i32 {
        let elapsed = at.saturating_sub(self.updated_at.unwrap_or(at));
        self.updated_at = Some(at);
        self.backlog = (self.backlog - elapsed.as_secs_f64() * self.bitrate).max(0.0);
        if let Purpose::Refinement(pass) = purpose {
            let passes = i32::try_from(pass).unwrap_or(MAX_REFINEMENT_STEPS);
            let finer = passes.min(MAX_REFINEMENT_STEPS) * QUANTIZER_STEP_PER_REFINEMENT;
            return (self.base_quantizer - finer).clamp(MIN_QUANTIZER, MAX_QUANTIZER);
        }
        let halvings = (REFERENCE_BITRATE / self.bitrate).log2();
        let backlog_steps = (self.backlog / self.bitrate / BACKLOG_SECONDS).min(MAX_BACKLOG_STEPS);
        let chosen = REFERENCE_QUANTIZER
            + QUANTIZER_STEP_PER_HALVING * halvings.max(0.0)
            + QUANTIZER_STEP_PER_BACKLOG * backlog_steps;
        self.base_quantizer = (chosen.round() as i32).clamp(MIN_QUANTIZER, MAX_QUANTIZER);
        self.base_quantizer
    }

    /// Adds a coded picture of `bytes` bytes.
    pub(super) fn add_frame(&mut self, bytes: usize) {
        self.backlog += bytes as f64 * 8.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_link_and_a_backlog_are_coarser_and_time_heals() {
        let mut fast = QuantizerControl::new(2_500_000);
        let mut slow = QuantizerControl::new(300_000);
        assert!(fast.choose(Purpose::Change, START) < slow.choose(Purpose::Keyframe, START));

        let fresh = fast.choose(Purpose::Change, START);
        fast.add_frame(200_000);
        let behind = fast.choose(Purpose::Change, START);
        let later = fast.choose(Purpose::Change, START + Duration::from_secs(2));

        assert!(behind > fresh);
        assert_eq!(later, fresh);
    }

    #[test]
    fn every_refinement_is_finer_until_nothing_is_gained() {
        let mut control = QuantizerControl::new(500_000);
        let change = control.choose(Purpose::Change, START);

        let finer: Vec<i32> = (1..=3)
            .map(|pass| control.choose(Purpose::Refinement(pass), START))
            .collect();

        // Six at least, or OpenH264 skips what it thinks is good enough.
        assert!(
            change - finer[0] >= 6 && finer[0] - finer[1] >= 6,
            "{change} {finer:?}"
        );
        assert_eq!(finer[2], MIN_QUANTIZER);
    }
}
