//! When the next picture may be coded. Pure.
//!
//! Coded pictures wait in the pacer, and everything newer waits behind them. So a picture is coded
//! only when the one before it has nearly left; until then the newest one stays outside, and a slow
//! path shows fewer pictures, not older ones.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

use authloop_protocol::quantity::{Bitrate, DataSize, LeakyBucket};

/// Largest backlog at which the next picture may be coded, as the time it takes at the bitrate.
const MAX_BACKLOG: Duration = Duration::from_millis(120);
/// Longest time that one picture delays the next, however low the bitrate is said to be.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Accounts for what was coded and has not left yet, as far as the bitrate tells.
#[derive(Debug)]
pub(super) struct SendBudget {
    in_flight: LeakyBucket,
}

impl SendBudget {
    pub(super) fn new(bitrate: Bitrate, now: Instant) -> Self {
        Self {
            in_flight: LeakyBucket::new(bitrate, now),
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: Bitrate, now: Instant) {
        self.in_flight.set_rate(bitrate, now);
    }

    /// Adds a frame that was coded at `now`.
    pub(super) fn add_frame(&mut self, size: DataSize, now: Instant) {
        self.in_flight.advance(now);
        self.in_flight.add(size);
    }

    /// When the next picture may be coded; `None` if it may be at `now`.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let excess = self
            .in_flight
            .time_until_empty()
            .saturating_sub(MAX_BACKLOG);
        let ready = self.in_flight.updated_at() + excess.min(MAX_WAIT);
        (ready > now).then_some(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::some_time;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_fast_path_holds_nothing_up() {
        let now = some_time();
        let mut budget = SendBudget::new(Bitrate::from_bps(10_000_000), now);
        budget.add_frame(DataSize::from_bytes(100_000), now);
        assert_eq!(budget.ready_at(now), None, "80 ms under way");
    }

    #[test]
    fn a_slow_path_shows_fewer_pictures() {
        let start = some_time();
        let mut budget = SendBudget::new(Bitrate::from_bps(200_000), start);
        let mut at = start;
        let mut pictures = 0;
        while at < start + MS(10_000) {
            budget.add_frame(DataSize::from_bytes(5_000), at);
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
        let start = some_time();
        let mut budget = SendBudget::new(Bitrate::from_bps(100_000), start);
        budget.add_frame(DataSize::from_bytes(1_000_000), start);
        assert_eq!(budget.ready_at(start), Some(start + MAX_WAIT));
        budget.set_bitrate(Bitrate::from_bps(80_000_000), start + MS(500));
        assert_eq!(budget.ready_at(start + MS(500)), None);
    }
}
