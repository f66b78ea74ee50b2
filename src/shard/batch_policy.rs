//! Pure: decides when to read again: at once, after a delay, or when the kernel wakes the thread.
//!
//! A wake-up costs more than the packet it is for. Below a threshold of packets a second each one
//! is worth a wake-up of its own; above it, reading at intervals moves several per system call.
//! While packets come at all, the receive itself waits for the next: asking first whether there is
//! one would be two more system calls for each.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

/// Rate above which at least two packets arrive during a delay.
const MIN_COALESCED_PACKETS_PER_SECOND: u64 = 8_000;
/// Time over which a rate is measured before it counts.
const RATE_WINDOW: Duration = Duration::from_millis(10);

/// What the shard does after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextRead {
    /// Receive again: the batch was full, so more is waiting.
    Immediately,
    /// Sleep for this time, whatever arrives.
    AfterDelay(Duration),
    /// Wait a moment for a datagram; commands wait as long.
    BoundedWait,
    /// Block until a datagram or a command arrives.
    Block,
}

/// The recent packet rate, and what follows from it.
#[derive(Debug)]
pub(super) struct BatchPolicy {
    /// How long packets may gather.
    coalesce_delay: Duration,
    since: Instant,
    packets: u64,
    busy: bool,
}

impl BatchPolicy {
    pub(super) fn new(now: Instant, coalesce_delay: Duration) -> Self {
        Self {
            coalesce_delay,
            since: now,
            packets: 0,
            busy: false,
        }
    }

    /// Notes a batch of `received` datagrams out of at most `batch_size`.
    pub(super) fn after_batch(
        &mut self,
        now: Instant,
        received: usize,
        batch_size: usize,
    ) -> NextRead {
        self.packets += received as u64;
        let elapsed = now.duration_since(self.since);
        if elapsed >= RATE_WINDOW {
            let millis = elapsed.as_millis() as u64;
            self.busy = self.packets * 1_000 > MIN_COALESCED_PACKETS_PER_SECOND * millis;
            (self.since, self.packets) = (now, 0);
        }
        match received {
            full if full == batch_size => NextRead::Immediately,
            _ if self.busy && !self.coalesce_delay.is_zero() => {
                NextRead::AfterDelay(self.coalesce_delay)
            }
            0 => NextRead::Block,
            _ => NextRead::BoundedWait,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may start at any time")]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_micros(250);

    /// The answers over one second of `rate` packets a second, one at a time.
    fn answers(rate: u64) -> Vec<NextRead> {
        let start = Instant::now();
        let mut policy = BatchPolicy::new(start, DELAY);
        (1..=rate)
            .map(|n| {
                policy.after_batch(
                    start + Duration::from_nanos(1_000_000_000 / rate * n),
                    1,
                    64,
                )
            })
            .collect()
    }

    #[test]
    fn a_slow_flow_is_never_made_to_wait() {
        assert!(
            answers(5_000)
                .iter()
                .all(|next| *next == NextRead::BoundedWait)
        );
    }

    #[test]
    fn a_fast_flow_is_gathered() {
        let delays = answers(20_000)
            .iter()
            .filter(|next| **next == NextRead::AfterDelay(DELAY))
            .count();

        assert!(delays > 19_000, "{delays}");
    }

    #[test]
    fn a_full_batch_is_followed_at_once() {
        let now = Instant::now();

        assert_eq!(
            BatchPolicy::new(now, DELAY).after_batch(now, 64, 64),
            NextRead::Immediately
        );
    }

    #[test]
    fn silence_ends_the_naps() {
        let start = Instant::now();
        let mut policy = BatchPolicy::new(start, DELAY);
        policy.after_batch(start + RATE_WINDOW, 1_000, 2_000);

        let next = policy.after_batch(start + RATE_WINDOW * 2, 0, 64);

        assert_eq!(next, NextRead::Block);
    }
}
