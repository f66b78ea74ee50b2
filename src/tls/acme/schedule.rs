//! Pure: when to ask for the next certificate. Times are Unix times in seconds; `chance` is from 0
//! to 1.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// What each further failure multiplies the wait by.
const BACKOFF_FACTOR: u32 = 3;
/// Longest wait after a failure, before it is varied by chance.
const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// When to renew: at two thirds of the life, which leaves 30 of the usual 90 days for what may go
/// wrong; up to a twentieth of the life earlier, so that servers that started together do not ask
/// together.
pub(super) fn due(not_before: i64, not_after: i64, chance: f64) -> i64 {
    let life = (not_after - not_before).max(0);
    let jitter = (life as f64 / 20.0 * chance) as i64;
    not_before + life / 3 * 2 - jitter
}

/// How long to wait after failures in a row. Let's Encrypt takes five failed validations of a
/// name an hour; with the default of two minutes there are four.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// The wait after one more failure, a little more or less by `chance`.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let factor = BACKOFF_FACTOR.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let wait = self.first.saturating_mul(factor).min(MAX_BACKOFF);
        wait.mul_f64(0.9 + 0.2 * chance)
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86400;

    #[test]
    fn ninety_days_are_renewed_with_thirty_left() {
        assert_eq!(due(0, 90 * DAY, 0.0), 60 * DAY);
        assert_eq!(due(0, 90 * DAY, 1.0), 60 * DAY - 90 * DAY / 20);
        assert_eq!(due(1000, 0, 1.0), 1000);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_an_hour() {
        let mut backoff = Backoff::new(Duration::from_secs(120));
        let minutes: Vec<u64> = (0..6).map(|_| backoff.next(0.5).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 6, 18, 54, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_secs(108));
        for _ in 0..100 {
            assert!(backoff.next(1.0) <= MAX_BACKOFF.mul_f64(1.1));
        }
    }

    proptest! {
        #[test]
        fn renewal_lies_within_the_life(start in 0_i64..4_000_000_000, life in 60_i64..400_000_000, chance in 0.0..1.0) {
            let due = due(start, start + life, chance);
            prop_assert!(due > start + life / 2 && due < start + life);
        }
    }
}
