//! At which size a page is sent. Pure.
//!
//! Over a slow path a page that changes as a whole would be seen once in several seconds, and a
//! decoder that waits that long asks for a keyframe, which takes longer still. At half the size it
//! comes several times as often; once the page is calm it is sent in full.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

use authloop_protocol::quantity::{Bitrate, DataSize};

/// Longest time that sending a picture at the full size may take; a longer one is halved.
const MAX_SEND_TIME: Duration = Duration::from_millis(700);
/// Time without another such picture after which the page counts as calm.
const CALM_AFTER: Duration = Duration::from_millis(400);
/// Size of a new block before the first was coded: text on a phone, coded coarsely.
const INITIAL_BLOCK_COST: DataSize = DataSize::from_bits(120);
/// New blocks that a picture needs before the cost of a block is learned from it.
const MIN_BLOCKS: usize = 128;
/// Share of the difference by which one picture moves the estimate.
const SMOOTHING: f64 = 0.5;
/// Part of the picture that must be new (1 / this) before it is halved: at half the size, all of the
/// picture is new at first, and that must be less than what changed.
const MIN_CHANGED_DIVISOR: usize = 3;

/// Chooses between the full size and half of it.
#[derive(Debug)]
pub(super) struct ResolutionControl {
    bitrate: Bitrate,
    /// Size of a block that changed, once it is coded at the full size.
    block_cost: DataSize,
    /// When the last change came that takes too long at the full size; `None` at the full size.
    busy_since: Option<Instant>,
}

impl ResolutionControl {
    pub(super) fn new(bitrate: Bitrate) -> Self {
        Self {
            bitrate,
            block_cost: INITIAL_BLOCK_COST,
            busy_since: None,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: Bitrate) {
        self.bitrate = bitrate;
    }

    /// Takes account of a new picture, `changed` of whose `blocks` are new.
    pub(super) fn on_picture(&mut self, changed: usize, blocks: usize, now: Instant) {
        let is_slow = self.block_cost * changed as f64 > self.bitrate * MAX_SEND_TIME;
        if is_slow && changed > blocks / MIN_CHANGED_DIVISOR {
            self.busy_since = Some(now);
        } else {
            self.restore_if_calm(now);
        }
    }

    /// Returns to the full size if the page has been calm for a while.
    pub(super) fn restore_if_calm(&mut self, now: Instant) {
        self.busy_since = self.busy_since.filter(|since| now < *since + CALM_AFTER);
    }

    /// When [`ResolutionControl::restore_if_calm`] will choose the full size; `None` if it has.
    pub(super) fn calm_at(&self) -> Option<Instant> {
        self.busy_since.map(|since| since + CALM_AFTER)
    }

    pub(super) fn is_half(&self) -> bool {
        self.busy_since.is_some()
    }

    /// Learns what a block costs: `changed` new blocks became a frame of this `size`, at the full size.
    pub(super) fn add_frame(&mut self, changed: usize, size: DataSize) {
        if changed >= MIN_BLOCKS {
            let measured = size * (1.0 / changed as f64);
            self.block_cost = self.block_cost * (1.0 - SMOOTHING) + measured * SMOOTHING;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::some_time;

    const BLOCKS_OF_A_PHONE: usize = 49 * 92;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_fast_path_always_gets_all() {
        let mut control = ResolutionControl::new(Bitrate::from_bps(4_000_000));
        control.on_picture(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, some_time());
        assert!(!control.is_half());
    }

    #[test]
    fn a_slow_path_gets_half_until_the_page_is_calm() {
        let (mut control, start) = (
            ResolutionControl::new(Bitrate::from_bps(200_000)),
            some_time(),
        );
        control.on_picture(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, start);
        assert!(control.is_half());
        // What is typed meanwhile does not keep it small.
        control.on_picture(10, BLOCKS_OF_A_PHONE, start + MS(200));
        assert!(control.is_half());
        assert_eq!(control.calm_at(), Some(start + CALM_AFTER));
        control.on_picture(10, BLOCKS_OF_A_PHONE, start + CALM_AFTER);
        assert!(!control.is_half());
    }

    #[test]
    fn keys_never_make_it_small() {
        let mut control = ResolutionControl::new(Bitrate::from_bps(50_000));
        control.on_picture(400, BLOCKS_OF_A_PHONE, some_time());
        assert!(!control.is_half());
    }

    #[test]
    fn cheap_pages_stay_whole() {
        let (mut control, now) = (
            ResolutionControl::new(Bitrate::from_bps(200_000)),
            some_time(),
        );
        for _ in 0..8 {
            control.add_frame(BLOCKS_OF_A_PHONE, DataSize::from_bytes(4_000));
        }
        control.on_picture(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, now);
        assert!(!control.is_half());
    }
}
