//! One direction of a bad network: loss, delay, jitter and a rate with a bounded queue. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::VecDeque, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// What IP and UDP add to each payload on the wire (RFC 791, RFC 768).
const UDP_IP_HEADER_BYTES: usize = 28;

/// How bad a direction is. The default is a perfect network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Impairment {
    /// The part of packets that is lost, 0..=1.
    pub loss: f64,
    /// The way's own time, milliseconds.
    pub delay_ms: u64,
    /// Up to so much more, evenly spread, milliseconds. Packets keep their order.
    pub jitter_ms: u64,
    /// Bits a second on the wire; 0 is no limit.
    pub rate_bps: u64,
    /// How long a packet may wait for the rate before the queue is full, milliseconds.
    pub queue_ms: u64,
}

impl Impairment {
    /// Returns why this cannot be; `None` if it can.
    pub(crate) fn error(&self) -> Option<&'static str> {
        if !(0.0..=1.0).contains(&self.loss) {
            Some("`loss` must be between 0 and 1")
        } else if self.rate_bps > 0 && self.queue_ms == 0 {
            Some("a rate needs a queue: `queue_ms` must be above 0")
        } else {
            None
        }
    }
}

/// What happened to the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LinkCounters {
    /// Packets that came out.
    pub passed: u64,
    /// Their payloads, in bytes.
    pub bytes: u64,
    /// Packets that were lost on the way.
    pub lost: u64,
    /// Packets that found the queue full.
    pub overflowed: u64,
}

/// One direction, of packets named by `T`. Time is any clock that does not run backwards.
pub(crate) struct ImpairedLink<T> {
    impairment: Impairment,
    random: StdRng,
    /// When the wire is free again.
    free: Duration,
    /// When the last packet comes out; none may overtake it.
    last: Duration,
    /// What is under way, by the time it comes out.
    way: VecDeque<(Duration, usize, T)>,
    counters: LinkCounters,
}

impl<T> ImpairedLink<T> {
    pub(crate) fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            random: StdRng::seed_from_u64(seed),
            free: Duration::ZERO,
            last: Duration::ZERO,
            way: VecDeque::new(),
            counters: LinkCounters::default(),
        }
    }

    /// Changes the impairment of what comes from now on.
    pub(crate) fn set(&mut self, impairment: Impairment) {
        self.impairment = impairment;
    }

    /// Takes a packet of `payload` bytes that arrives at `now`.
    pub(crate) fn push(&mut self, now: Duration, payload: usize, packet: T) {
        // Drawn for each packet, so that one link's fate does not shift with its rate.
        let (fate, spread) = (self.random.random::<f64>(), self.random.random::<f64>());
        let begin = self.free.max(now);
        let wait = begin - now;
        let impairment = &self.impairment;
        if impairment.rate_bps > 0 && wait > Duration::from_millis(impairment.queue_ms) {
            self.counters.overflowed += 1;
            return;
        }
        let sent = begin + transmission(payload, impairment.rate_bps);
        self.free = sent;
        // Lost on the way: it has taken its place on the wire.
        if fate < impairment.loss {
            self.counters.lost += 1;
            return;
        }
        let jitter = Duration::from_millis(impairment.jitter_ms).mul_f64(spread);
        let out = sent + Duration::from_millis(impairment.delay_ms) + jitter;
        self.last = self.last.max(out);
        self.way.push_back((self.last, payload, packet));
    }

    /// The next packet that has come out by `now`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<T> {
        let (_, payload, packet) = self.way.pop_front_if(|(out, ..)| *out <= now)?;
        self.counters.passed += 1;
        self.counters.bytes += payload as u64;
        Some(packet)
    }

    /// When the next packet comes out.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.way.front().map(|(out, ..)| *out)
    }

    /// What has happened so far.
    pub(crate) fn counters(&self) -> LinkCounters {
        self.counters
    }
}

fn transmission(payload: usize, rate: u64) -> Duration {
    let bits = ((payload + UDP_IP_HEADER_BYTES) * 8) as u64;
    if rate == 0 {
        return Duration::ZERO;
    }
    Duration::from_nanos(bits * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Sends `count` packets of 972 bytes (1000 on the wire), one every `every` ms; gives when each came out.
    fn run(
        impairment: Impairment,
        seed: u64,
        count: u32,
        every: u64,
    ) -> (Vec<(u32, Duration)>, LinkCounters) {
        let mut link = ImpairedLink::new(impairment, seed);
        let mut out = Vec::new();
        let mut drain = |link: &mut ImpairedLink<u32>, now: Duration| {
            while let Some(at) = link.next().filter(|at| *at <= now) {
                out.push((link.pop(at).unwrap(), at));
            }
        };
        for number in 0..count {
            let now = MS(every * u64::from(number));
            drain(&mut link, now);
            link.push(now, 972, number);
        }
        drain(&mut link, Duration::MAX);
        let counters = link.counters();
        (out, counters)
    }

    #[test]
    fn a_perfect_link_passes_everything_at_once() {
        let (out, counters) = run(Impairment::default(), 1, 100, 1);
        assert!(out.iter().all(|(number, at)| *at == MS(u64::from(*number))));
        assert_eq!((counters.passed, counters.bytes), (100, 97_200));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_and_about_as_many_as_asked() {
        let impairment = Impairment {
            loss: 0.3,
            ..Impairment::default()
        };
        let (first, counters) = run(impairment, 7, 10_000, 1);
        assert_eq!(first, run(impairment, 7, 10_000, 1).0);
        assert_ne!(first, run(impairment, 8, 10_000, 1).0);
        assert!((2800..3200).contains(&counters.lost), "{counters:?}");
    }

    #[test]
    fn a_rate_spaces_packets_and_a_full_queue_drops_them() {
        // 800 kbit/s takes one such packet in 10 ms; one comes every 5 ms.
        let impairment = Impairment {
            rate_bps: 800_000,
            queue_ms: 50,
            ..Impairment::default()
        };
        let (out, counters) = run(impairment, 3, 200, 5);
        assert!(
            out.windows(2).all(|two| two[1].1 - two[0].1 == MS(10)),
            "{out:?}"
        );
        let longest = out
            .iter()
            .map(|(number, at)| *at - MS(5 * u64::from(*number)))
            .max();
        assert_eq!(longest, Some(MS(60)), "the queue and the packet's own time");
        assert_eq!(counters.passed + counters.overflowed, 200);
        assert!((85..=95).contains(&counters.overflowed), "{counters:?}");
    }

    #[test]
    fn delay_and_jitter_stay_in_bounds_and_keep_the_order() {
        let impairment = Impairment {
            delay_ms: 40,
            jitter_ms: 30,
            ..Impairment::default()
        };
        let (out, _) = run(impairment, 5, 1000, 2);
        assert!(out.is_sorted(), "overtaken");
        let late = |(number, at): &(u32, Duration)| *at - MS(2 * u64::from(*number));
        assert!(
            out.iter()
                .map(late)
                .all(|late| (MS(40)..=MS(70)).contains(&late))
        );
        assert!(out.iter().map(late).max() > Some(MS(65)));
    }

    #[test]
    fn an_impairment_that_cannot_be_is_refused() {
        assert!(
            Impairment {
                loss: 1.5,
                ..Impairment::default()
            }
            .error()
            .is_some()
        );
        assert!(
            Impairment {
                loss: f64::NAN,
                ..Impairment::default()
            }
            .error()
            .is_some()
        );
        assert!(
            Impairment {
                rate_bps: 1,
                ..Impairment::default()
            }
            .error()
            .is_some()
        );
        assert!(Impairment::default().error().is_none());
    }
}
