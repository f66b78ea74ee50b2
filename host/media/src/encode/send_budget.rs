//! When the next picture may be coded. Pure.
//!
//! Coded pictures wait in the pacer, and everything newer waits behind them. So a picture is coded
//! only when the one before it has nearly left; until then the newest one stays outside, and a slow
//! path shows fewer pictures, not older ones.

use std::time::{Duration, Instant};

/// Largest backlog at which the next picture may be coded, as the time it takes at the bitrate.
const MAX_BACKLOG: Duration = Duration::from_millis(120);
/// Longest time that one picture delays the next, however low the bitrate is said to be.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Keeps account of what was coded and has not left yet, as far as the bitrate tells.
#[derive(Debug)]
pub(super) struct SendBudget {
    /// Bits a second.
    bitrate: f64,
    /// Bits under way at `updated_at`.
    backlog: f64,
    updated_at: Instant,
}

impl SendBudget {
    pub(super) fn new(bitrate: u32, now: Instant) -> Self {
        Self {
            bitrate: f64::from(bitrate.max(1)),
            backlog: 0.0,
            updated_at: now,
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32, now: Instant) {
        self.advance(now);
        self.bitrate = f64::from(bitrate.max(1));
    }

    /// Adds a coded picture of `bytes` bytes.
    pub(super) fn add_frame(&mut self, bytes: usize, now: Instant) {
        self.advance(now);
        self.backlog += bytes as f64 * 8.0;
    }

    /// When the next picture may be coded; `None` if it may be at `now`.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let excess = self.backlog / self.bitrate - MAX_BACKLOG.as_secs_f64();
        let wait = Duration::try_from_secs_f64(excess).unwrap_or_default();
        let ready = self.updated_at + wait.min(MAX_WAIT);
        (ready > now).then_some(ready)
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated_at).as_secs_f64();
        self.backlog = (self.backlog - elapsed * self.bitrate).max(0.0);
        self.updated_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_fast_path_holds_nothing_up() {
        let now = Instant::now();
        let mut budget = SendBudget::new(10_000_000, now);
        budget.add_frame(100_000, now);
        assert_eq!(budget.ready_at(now), None, "80 ms under way");
    }

    #[test]
    fn a_slow_path_shows_fewer_pictures() {
        let start = Instant::now();
        let mut budget = SendBudget::new(200_000, start);
        let mut at = start;
        let mut pictures = 0;
        while at < start + MS(10_000) {
            budget.add_frame(5_000, at);
            pictures += 1;
            at = budget.ready_at(at).unwrap();
        }
        assert!(
            (48..=55).contains(&pictures),
            "{pictures} of 40 kbit in 10 s"
        );
    }

    #[test]
    fn a_path_that_widens_is_used_at_once_and_one_that_closes_does_not_stop_it_for_good() {
        let start = Instant::now();
        let mut budget = SendBudget::new(100_000, start);
        budget.add_frame(1_000_000, start);
        assert_eq!(budget.ready_at(start), Some(start + MAX_WAIT));
        budget.set_bitrate(80_000_000, start + MS(500));
        assert_eq!(budget.ready_at(start + MS(500)), None);
    }
}
