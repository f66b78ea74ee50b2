//! How much a path carries, read from how bunches of packets spread on the way. Pure.
//!
//! A page is still most of the time, so what the viewer receives says nothing of what it could: the
//! congestion controller, which backs off to a part of the received rate, would take an idle page
//! for a slow path. But every picture leaves as a bunch, faster than a slow path takes it; what
//! comes out of the path's narrowest place then is spread out by exactly its rate (packet-train
//! dispersion; Dovrolis, Ramanathan, Moore, "What do packet dispersion techniques measure?", 2001).

use std::time::{Duration, Instant};

use rtc::interceptor::PacketReport;

/// Packets further apart than this are of different bunches.
const GAP: Duration = Duration::from_millis(30);
/// A stream without gaps is taken in pieces, so that a path that changes is followed.
const LONGEST: Duration = Duration::from_millis(100);
/// More is never used, and what a loopback bunch tells would take long to unlearn.
const CEILING: f64 = 25_000_000.0;
/// Fewer say too little.
const PACKETS: u32 = 8;
/// But so few do, once they are so far apart as neither jitter nor a busy machine brings them: a
/// slow path's pictures are small.
const FEW: u32 = 4;
const SPREAD: Duration = Duration::from_millis(60);
/// Arrivals are told in steps of 250 µs, and sockets are read in batches.
const RESOLUTION: Duration = Duration::from_millis(2);
/// A bunch that arrives at nearly the rate it left at has not found the narrowest place.
const UNHINDERED: f64 = 0.85;
/// How far one bunch moves an estimate.
const WEIGHT: f64 = 0.5;

/// The packets of one bunch so far.
#[derive(Debug, Clone, Copy)]
struct Train {
    left: (Instant, Instant),
    arrived: Option<(Duration, Duration)>,
    /// Sent after the first packet, in bits.
    sent: f64,
    /// Received after the first that was, in bits.
    received: f64,
    packets: u32,
}

impl Train {
    fn new(left: Instant) -> Self {
        Self {
            left: (left, left),
            arrived: None,
            sent: 0.0,
            received: 0.0,
            packets: 0,
        }
    }

    fn add(&mut self, report: &PacketReport) {
        let bits = report.size as f64 * 8.0;
        if self.packets > 0 {
            self.sent += bits;
        }
        self.left.1 = self.left.1.max(report.departure);
        self.packets += 1;
        let Some(arrival) = report.arrival.filter(|_| report.arrived) else {
            return;
        };
        match &mut self.arrived {
            None => self.arrived = Some((arrival, arrival)),
            Some((_, last)) => {
                *last = arrival.max(*last);
                self.received += bits;
            }
        }
    }

    /// The rates at which it left and arrived, in bits a second.
    fn rates(&self) -> Option<(f64, f64)> {
        let (first, last) = self.arrived?;
        let rate = |bits: f64, time: Duration| bits / time.max(RESOLUTION).as_secs_f64();
        let spread = last.saturating_sub(first);
        let tells = self.packets >= PACKETS || (self.packets >= FEW && spread >= SPREAD);
        tells.then(|| {
            let left = rate(self.sent, self.left.1 - self.left.0);
            (left, rate(self.received, spread))
        })
    }
}

/// The estimate over all bunches.
#[derive(Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    /// Before the current bunch.
    before: Option<f64>,
    capacity: Option<f64>,
}

impl Trains {
    /// Takes what the viewer reported, in the order in which it was sent.
    pub(super) fn on_reports(&mut self, reports: &[PacketReport]) {
        for report in reports {
            let apart = self.current.is_none_or(|train| {
                let since = |at| report.departure.saturating_duration_since(at);
                since(train.left.1) > GAP || since(train.left.0) > LONGEST
            });
            if apart {
                self.before = self.capacity;
                self.current = Some(Train::new(report.departure));
            }
            if let Some(train) = &mut self.current {
                train.add(report);
            }
        }
        if let Some((left, arrived)) = self.current.as_ref().and_then(Train::rates) {
            let arrived = arrived.min(CEILING);
            self.capacity = Some(match self.before {
                _ if arrived <= 0.0 => return,
                Some(before) if arrived >= left * UNHINDERED => before.max(arrived),
                Some(before) => before + (arrived - before) * WEIGHT,
                None => arrived,
            });
        }
    }

    /// What the path carries, in bits a second; `None` before a bunch told.
    pub(super) fn capacity(&self) -> Option<f64> {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;

    use super::*;

    /// A bunch of packets of 1200 bytes, 0.1 ms apart, as a path of `rate` bits a second lets them out.
    fn bunch(left: Instant, rate: f64, lost: impl Fn(u32) -> bool) -> Vec<PacketReport> {
        let spacing = Duration::from_secs_f64(1200.0 * 8.0 / rate);
        let report = |n: u32| PacketReport {
            ssrc: 1,
            id: n.into(),
            rtp_sequence_number: 0,
            is_twcc: true,
            twcc_sequence_number: 0,
            size: 1200,
            arrived: !lost(n),
            departure: left + Duration::from_micros(100) * n,
            arrival: (!lost(n)).then(|| spacing * n),
            ecn: Ecn::NotEct,
        };
        (0..40).map(report).collect()
    }

    fn near(capacity: Option<f64>, rate: f64) -> bool {
        capacity.is_some_and(|capacity| (capacity / rate - 1.0).abs() < 0.1)
    }

    #[test]
    fn a_bunch_tells_the_narrowest_place_also_in_parts() {
        let mut trains = Trains::default();
        for part in bunch(Instant::now(), 500_000.0, |_| false).chunks(7) {
            trains.on_reports(part);
        }
        assert!(near(trains.capacity(), 500_000.0), "{trains:?}");
    }

    #[test]
    fn losses_leave_what_came_through() {
        let mut trains = Trains::default();
        trains.on_reports(&bunch(Instant::now(), 1_000_000.0, |n| n % 4 == 1));
        assert!(near(trains.capacity(), 750_000.0), "{trains:?}");
    }

    #[test]
    fn it_follows_a_path_that_changes() {
        let (mut trains, start) = (Trains::default(), Instant::now());
        for (rate, from) in [(8_000_000.0, 0), (400_000.0, 20), (2_000_000.0, 40)] {
            for n in 0..8 {
                let left = start + Duration::from_millis(100) * (from + n);
                trains.on_reports(&bunch(left, rate, |_| false));
            }
            assert!(near(trains.capacity(), rate), "{rate}: {trains:?}");
        }
    }

    #[test]
    fn a_slow_paths_small_pictures_tell_and_a_fast_ones_do_not() {
        let (mut trains, start) = (Trains::default(), Instant::now());
        trains.on_reports(&bunch(start, 5_000_000.0, |_| false));
        let known = trains.capacity();
        let later = |ms| start + Duration::from_millis(ms);
        trains.on_reports(&bunch(later(500), 1_000_000.0, |_| false)[..5]);
        assert_eq!(trains.capacity(), known);
        for n in 2..12 {
            trains.on_reports(&bunch(later(500 * n), 200_000.0, |_| false)[..5]);
        }
        assert!(near(trains.capacity(), 200_000.0), "{trains:?}");
    }

    #[test]
    fn an_endless_stream_is_followed_too() {
        let (mut trains, start) = (Trains::default(), Instant::now());
        trains.on_reports(&bunch(start, 1e9, |_| false));
        assert_eq!(trains.capacity(), Some(CEILING));
        for n in 0..200 {
            let mut report = bunch(start, 1e6, |_| false).swap_remove(0);
            // 1200 bytes every 5 ms into 1 Mbit/s, behind a queue that is never empty.
            report.departure = start + Duration::from_millis(100 + 5 * n);
            report.arrival = Some(Duration::from_micros(9600 * n));
            trains.on_reports(&[report]);
        }
        assert!(near(trains.capacity(), 1e6), "{trains:?}");
    }

    #[test]
    fn single_packets_and_silence_say_nothing() {
        let (mut trains, start) = (Trains::default(), Instant::now());
        trains.on_reports(&bunch(start, 5_000_000.0, |_| false));
        let known = trains.capacity();
        for n in 1..20 {
            let lone = bunch(start + Duration::from_secs(n), 10_000.0, |_| false);
            trains.on_reports(&lone[..2]);
            trains.on_reports(&[]);
        }
        assert_eq!(trains.capacity(), known);
    }
}
