//! When the next picture may be coded: pure.
//!
//! What has been coded waits in the pacer, and behind it everything newer. So a picture is coded
//! only when the one before it has nearly left; meanwhile the newest stays outside, and a slow path
//! shows fewer pictures, not older ones.

use std::time::{Duration, Instant};

/// How much may still be under way when the next picture is coded, in time at the bitrate.
const SLACK: Duration = Duration::from_millis(120);
/// One picture holds the next up for no longer, whatever the bitrate is said to be.
const LONGEST: Duration = Duration::from_secs(3);

/// Keeps account of what was coded and must have left by now.
#[derive(Debug)]
pub(super) struct Flow {
    /// Bits a second.
    bitrate: f64,
    /// Bits under way at `counted`.
    backlog: f64,
    counted: Instant,
}

impl Flow {
    pub(super) fn new(bitrate: u32, now: Instant) -> Self {
        Self {
            bitrate: f64::from(bitrate.max(1)),
            backlog: 0.0,
            counted: now,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32, now: Instant) {
        self.count(now);
        self.bitrate = f64::from(bitrate.max(1));
    }

    /// A picture became this many bytes.
    pub(super) fn coded(&mut self, bytes: usize, now: Instant) {
        self.count(now);
        self.backlog += bytes as f64 * 8.0;
    }

    /// When the next may be coded; `None` if it may at `now`.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let over = self.backlog / self.bitrate - SLACK.as_secs_f64();
        let wait = Duration::try_from_secs_f64(over).unwrap_or_default();
        let ready = self.counted + wait.min(LONGEST);
        (ready > now).then_some(ready)
    }

    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.backlog = (self.backlog - passed * self.bitrate).max(0.0);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_fast_path_holds_nothing_up() {
        let now = Instant::now();
        let mut flow = Flow::new(10_000_000, now);
        flow.coded(100_000, now);
        assert_eq!(flow.ready_at(now), None, "80 ms under way");
    }

    #[test]
    fn a_slow_path_shows_fewer_pictures() {
        let start = Instant::now();
        let mut flow = Flow::new(200_000, start);
        let mut at = start;
        let mut pictures = 0;
        while at < start + MS(10_000) {
            flow.coded(5_000, at);
            pictures += 1;
            at = flow.ready_at(at).unwrap();
        }
        assert!(
            (48..=55).contains(&pictures),
            "{pictures} of 40 kbit in 10 s"
        );
    }

    #[test]
    fn a_path_that_widens_is_used_at_once_and_one_that_closes_does_not_stop_it_for_good() {
        let start = Instant::now();
        let mut flow = Flow::new(100_000, start);
        flow.coded(1_000_000, start);
        assert_eq!(flow.ready_at(start), Some(start + LONGEST));
        flow.set_bitrate(80_000_000, start + MS(500));
        assert_eq!(flow.ready_at(start + MS(500)), None);
    }
}
