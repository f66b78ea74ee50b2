//! At which size a page is sent: pure.
//!
//! Over a slow path a page that changes as a whole would be seen once in several seconds, and a
//! decoder that waits so long asks for a keyframe, which takes longer still. At half the size it
//! comes several times as often; once the page is calm it is sent in full.

use std::time::{Duration, Instant};

/// A picture that takes longer to send is sent at half the size.
const SOON: Duration = Duration::from_millis(700);
/// After the last change of that kind the page counts as calm.
const CALM: Duration = Duration::from_millis(400);
/// Bits of a new block before the first was coded; of text on a phone, coded coarsely.
const PER_BLOCK: f64 = 120.0;
/// Fewer new blocks say little of what one costs.
const BLOCKS: usize = 128;
/// How far one picture moves the estimate.
const WEIGHT: f64 = 0.5;
/// At half the size, all of the picture is new at first: that must be less than what changed.
const HALF: usize = 3;

/// Chooses between the whole size and half of it.
#[derive(Debug)]
pub(super) struct Detail {
    /// Bits a second.
    bitrate: f64,
    /// Bits of a block that changed, at the whole size.
    per_block: f64,
    /// When the last change came that was too much to send soon; none at the whole size.
    busy: Option<Instant>,
}

impl Detail {
    pub(super) fn new(bitrate: u32) -> Self {
        Self {
            bitrate: f64::from(bitrate.max(1)),
            per_block: PER_BLOCK,
            busy: None,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32) {
        self.bitrate = f64::from(bitrate.max(1));
    }

    /// A picture came of whose `blocks` so many are new.
    pub(super) fn changed(&mut self, changed: usize, blocks: usize, now: Instant) {
        let long = changed as f64 * self.per_block > self.bitrate * SOON.as_secs_f64();
        if long && changed > blocks / HALF {
            self.busy = Some(now);
        } else {
            self.calm(now);
        }
    }

    /// The whole size again, if nothing great happened for a while.
    pub(super) fn calm(&mut self, now: Instant) {
        self.busy = self.busy.filter(|busy| now < *busy + CALM);
    }

    /// When [`Detail::calm`] will choose the whole size; `None` if it has.
    pub(super) fn calm_at(&self) -> Option<Instant> {
        self.busy.map(|busy| busy + CALM)
    }

    pub(super) fn is_half(&self) -> bool {
        self.busy.is_some()
    }

    /// So many new blocks became this many bytes, at the whole size.
    pub(super) fn coded(&mut self, changed: usize, bytes: usize) {
        if changed >= BLOCKS {
            let seen = bytes as f64 * 8.0 / changed as f64;
            self.per_block += (seen - self.per_block) * WEIGHT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS_OF_A_PHONE: usize = 49 * 92;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_fast_path_always_gets_all() {
        let mut detail = Detail::new(4_000_000);
        detail.changed(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, Instant::now());
        assert!(!detail.is_half());
    }

    #[test]
    fn a_slow_path_gets_half_until_the_page_is_calm() {
        let (mut detail, start) = (Detail::new(200_000), Instant::now());
        detail.changed(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, start);
        assert!(detail.is_half());
        // What is typed meanwhile does not keep it small.
        detail.changed(10, BLOCKS_OF_A_PHONE, start + MS(200));
        assert!(detail.is_half());
        assert_eq!(detail.calm_at(), Some(start + CALM));
        detail.changed(10, BLOCKS_OF_A_PHONE, start + CALM);
        assert!(!detail.is_half());
    }

    #[test]
    fn keys_never_make_it_small() {
        let mut detail = Detail::new(50_000);
        detail.changed(400, BLOCKS_OF_A_PHONE, Instant::now());
        assert!(!detail.is_half());
    }

    #[test]
    fn cheap_pages_stay_whole() {
        let (mut detail, now) = (Detail::new(200_000), Instant::now());
        for _ in 0..8 {
            detail.coded(BLOCKS_OF_A_PHONE, 4_000);
        }
        detail.changed(BLOCKS_OF_A_PHONE, BLOCKS_OF_A_PHONE, now);
        assert!(!detail.is_half());
    }
}
