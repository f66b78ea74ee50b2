//! When to look again: at once, after a nap, or when the kernel calls.
//!
//! A wake-up costs more than the packet it is for. Below a threshold of packets a second each one
//! is worth a wake-up of its own; above it, looking every so often moves several per system call.
//! While packets come at all, the receive itself waits for the next: asking first whether there is
//! one would be two more system calls for each.

use std::time::{Duration, Instant};

/// Above this rate at least two packets gather during a nap.
const THRESHOLD: u64 = 8_000;
/// How long a rate is measured before it counts.
const WINDOW: Duration = Duration::from_millis(10);

/// What the shard does after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Receive again: the batch was full, so more is waiting.
    Again,
    /// Sleep so long, whatever arrives.
    Nap(Duration),
    /// Wait for a datagram a moment; commands wait as long.
    Linger,
    /// Block until a datagram or a command arrives.
    Wait,
}

/// The rate seen of late, and what follows from it.
#[derive(Debug)]
pub(super) struct Cadence {
    /// How long packets may gather.
    nap: Duration,
    since: Instant,
    packets: u64,
    busy: bool,
}

impl Cadence {
    pub(super) fn new(now: Instant, nap: Duration) -> Self {
        Self {
            nap,
            since: now,
            packets: 0,
            busy: false,
        }
    }

    /// Notes a batch of `received` datagrams out of `most`.
    pub(super) fn after(&mut self, now: Instant, received: usize, most: usize) -> Next {
        self.packets += received as u64;
        let elapsed = now.duration_since(self.since);
        if elapsed >= WINDOW {
            let millis = elapsed.as_millis() as u64;
            self.busy = self.packets * 1_000 > THRESHOLD * millis;
            (self.since, self.packets) = (now, 0);
        }
        match received {
            full if full == most => Next::Again,
            _ if self.busy && !self.nap.is_zero() => Next::Nap(self.nap),
            0 => Next::Wait,
            _ => Next::Linger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: Duration = Duration::from_micros(250);

    /// The answers over one second of `rate` packets a second, one at a time.
    fn answers(rate: u64) -> Vec<Next> {
        let start = Instant::now();
        let mut cadence = Cadence::new(start, NAP);
        (1..=rate)
            .map(|n| {
                cadence.after(
                    start + Duration::from_nanos(1_000_000_000 / rate * n),
                    1,
                    64,
                )
            })
            .collect()
    }

    #[test]
    fn a_slow_flow_is_never_made_to_wait() {
        assert!(answers(5_000).iter().all(|next| *next == Next::Linger));
    }

    #[test]
    fn a_fast_flow_is_gathered() {
        let naps = answers(20_000)
            .iter()
            .filter(|next| **next == Next::Nap(NAP))
            .count();

        assert!(naps > 19_000, "{naps}");
    }

    #[test]
    fn a_full_batch_is_followed_at_once() {
        let now = Instant::now();

        assert_eq!(Cadence::new(now, NAP).after(now, 64, 64), Next::Again);
    }

    #[test]
    fn silence_ends_the_naps() {
        let start = Instant::now();
        let mut cadence = Cadence::new(start, NAP);
        cadence.after(start + WINDOW, 1_000, 2_000);

        let next = cadence.after(start + WINDOW * 2, 0, 64);

        assert_eq!(next, Next::Wait);
    }
}
