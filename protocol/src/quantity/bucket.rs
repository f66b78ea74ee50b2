//! The account of a backlog.

use std::time::{Duration, Instant};

use super::units::{Bitrate, DataSize};

/// Accounts for data that was sent into something that drains at a constant rate, such as a pacer
/// or a slow link.
///
/// Add what is sent, and ask how much of it must still be under way:
///
/// ```
/// use std::time::{Duration, Instant};
/// use authloop_protocol::quantity::{Bitrate, DataSize, LeakyBucket};
///
/// let start = Instant::now();
/// let mut link = LeakyBucket::new(Bitrate::from_kbps(800), start);
/// link.add(DataSize::from_bytes(100_000));
/// link.advance(start + Duration::from_millis(250));
/// assert_eq!(link.backlog(), DataSize::from_bytes(75_000));
/// assert_eq!(link.time_until_empty(), Duration::from_millis(750));
/// ```
///
/// Time only passes in [`advance`](Self::advance) and [`set_rate`](Self::set_rate); everything else
/// refers to [`updated_at`](Self::updated_at). The bucket is not bounded: what must not be sent is
/// its owner's decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakyBucket {
    rate: Bitrate,
    /// What is under way at `updated_at`.
    backlog: DataSize,
    updated_at: Instant,
}

impl LeakyBucket {
    /// Creates an empty bucket that drains at `rate`.
    #[must_use]
    pub const fn new(rate: Bitrate, now: Instant) -> Self {
        Self {
            rate,
            backlog: DataSize::ZERO,
            updated_at: now,
        }
    }

    /// Drains what left until `now`; an earlier time than the last one changes nothing.
    pub fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated_at);
        self.backlog = self.backlog.saturating_sub(self.rate * elapsed);
        self.updated_at = self.updated_at.max(now);
    }

    /// Changes the rate from `now` on; until then the bucket drains at the old one.
    pub fn set_rate(&mut self, rate: Bitrate, now: Instant) {
        self.advance(now);
        self.rate = rate;
    }

    /// Puts `size` behind what is under way.
    pub fn add(&mut self, size: DataSize) {
        self.backlog += size;
    }

    /// The rate at which the bucket drains.
    #[must_use]
    pub const fn rate(&self) -> Bitrate {
        self.rate
    }

    /// What is under way.
    #[must_use]
    pub const fn backlog(&self) -> DataSize {
        self.backlog
    }

    /// When time passed last.
    #[must_use]
    pub const fn updated_at(&self) -> Instant {
        self.updated_at
    }

    /// How long the backlog takes to drain; [`Duration::MAX`] if there is one and the rate is zero.
    #[must_use]
    pub fn time_until_empty(&self) -> Duration {
        self.backlog / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[expect(clippy::disallowed_methods, reason = "only a test may begin anywhere")]
    fn some_time() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_bucket_drains_at_its_rate_and_no_further_than_empty() {
        let start = some_time();
        let mut bucket = LeakyBucket::new(Bitrate::from_kbps(800), start);
        bucket.add(DataSize::from_bytes(50_000));
        bucket.advance(start + MS(200));
        bucket.add(DataSize::from_bytes(10_000));

        assert_eq!(bucket.backlog(), DataSize::from_bytes(40_000));
        assert_eq!(bucket.time_until_empty(), MS(400));
        bucket.advance(start + MS(10_000));
        assert_eq!(bucket.backlog(), DataSize::ZERO);
        assert_eq!(bucket.time_until_empty(), Duration::ZERO);
    }

    #[test]
    fn a_new_rate_counts_from_its_own_time_on() {
        let start = some_time();
        let mut bucket = LeakyBucket::new(Bitrate::from_kbps(80), start);
        bucket.add(DataSize::from_bytes(30_000));

        bucket.set_rate(Bitrate::from_kbps(160), start + MS(1_000));

        assert_eq!(bucket.backlog(), DataSize::from_bytes(20_000));
        assert_eq!(bucket.time_until_empty(), MS(1_000));
    }

    #[test]
    fn time_that_goes_backwards_changes_nothing() {
        let start = some_time();
        let mut bucket = LeakyBucket::new(Bitrate::from_kbps(80), start + MS(500));
        bucket.add(DataSize::from_bytes(1_000));
        let before = bucket;

        bucket.advance(start);

        assert_eq!(bucket, before);
    }
}
