//! How finely a picture is coded. Pure.
//!
//! A page is still most of the time, so what counts is that a change is seen soon and that text
//! ends up sharp. A change is coded as coarsely as the bitrate requires, and coarser the more is
//! still under way; once the link has drained, refinements recode it finely.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

use authloop_protocol::quantity::{Bitrate, DataSize, LeakyBucket};

/// H.264 quantizer above which text is no longer legible.
const MAX_QUANTIZER: i32 = 42;
/// H.264 quantizer below which nothing is gained over the JPEG.
const MIN_QUANTIZER: i32 = 18;
/// Quantizer of a change at [`REFERENCE_BITRATE`]. OpenH264 recodes a still block only if it was
/// coded above 26 and now is finer by 6 or more.
const REFERENCE_QUANTIZER: f64 = 28.0;
const REFERENCE_BITRATE: Bitrate = Bitrate::from_kbps(2_500);
/// Quantizer steps for each time that the bitrate is halved (6 would halve the bits).
const QUANTIZER_STEP_PER_HALVING: f64 = 2.5;
/// Quantizer steps for each [`BACKLOG_STEP`] that the link is behind.
const QUANTIZER_STEP_PER_BACKLOG: f64 = 10.0;
const BACKLOG_STEP: Duration = Duration::from_millis(300);
/// Most [`BACKLOG_STEP`]s that a backlog counts as.
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
    /// What is under way, by the clock of the capture times: between two pictures, time passes at
    /// the speed at which they were drawn.
    in_flight: LeakyBucket,
    /// What capture times count from.
    epoch: Instant,
    /// Quantizer of the last picture that was not a refinement.
    base_quantizer: i32,
}

impl QuantizerControl {
    /// `epoch` may be any time: only differences between capture times count.
    pub(super) fn new(bitrate: Bitrate, epoch: Instant) -> Self {
        Self {
            in_flight: LeakyBucket::new(bitrate, epoch),
            epoch,
            base_quantizer: MAX_QUANTIZER,
        }
    }

    /// Changes the bitrate, from the last picture on.
    pub(super) fn set_bitrate(&mut self, bitrate: Bitrate) {
        let last_picture_at = self.in_flight.updated_at();
        self.in_flight.set_rate(bitrate, last_picture_at);
    }

    /// Chooses the quantizer for a picture captured at `at`, which must not go backwards.
    pub(super) fn choose(&mut self, purpose: Purpose, at: Duration) -> i32 {
        if let Some(now) = self.epoch.checked_add(at) {
            self.in_flight.advance(now);
        }
        if let Purpose::Refinement(pass) = purpose {
            let passes = i32::try_from(pass).unwrap_or(MAX_REFINEMENT_STEPS);
            let finer = passes.min(MAX_REFINEMENT_STEPS) * QUANTIZER_STEP_PER_REFINEMENT;
            return (self.base_quantizer - finer).clamp(MIN_QUANTIZER, MAX_QUANTIZER);
        }
        let halvings = (REFERENCE_BITRATE / self.in_flight.rate()).log2();
        let backlog = self.in_flight.time_until_empty();
        let backlog_steps = backlog
            .div_duration_f64(BACKLOG_STEP)
            .min(MAX_BACKLOG_STEPS);
        let chosen = REFERENCE_QUANTIZER
            + QUANTIZER_STEP_PER_HALVING * halvings.max(0.0)
            + QUANTIZER_STEP_PER_BACKLOG * backlog_steps;
        self.base_quantizer = (chosen.round() as i32).clamp(MIN_QUANTIZER, MAX_QUANTIZER);
        self.base_quantizer
    }

    /// Adds a frame that was coded.
    pub(super) fn add_frame(&mut self, size: DataSize) {
        self.in_flight.add(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::some_time;

    const START: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_link_and_a_backlog_are_coarser_and_time_heals() {
        let mut fast = QuantizerControl::new(Bitrate::from_bps(2_500_000), some_time());
        let mut slow = QuantizerControl::new(Bitrate::from_bps(300_000), some_time());
        assert!(fast.choose(Purpose::Change, START) < slow.choose(Purpose::Keyframe, START));

        let fresh = fast.choose(Purpose::Change, START);
        fast.add_frame(DataSize::from_bytes(200_000));
        let behind = fast.choose(Purpose::Change, START);
        let later = fast.choose(Purpose::Change, START + Duration::from_secs(2));

        assert!(behind > fresh);
        assert_eq!(later, fresh);
    }

    #[test]
    fn every_refinement_is_finer_until_nothing_is_gained() {
        let mut control = QuantizerControl::new(Bitrate::from_bps(500_000), some_time());
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
