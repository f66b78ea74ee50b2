//! How much a path carries, read from how trains of packets spread on the way. Pure.
//!
//! A page is still most of the time, so what the viewer receives says nothing about what it could
//! receive: a controller that backs off to a part of the received rate, as Google's does, takes an
//! idle page for a slow path. But every picture leaves as a train of packets, faster than a slow path
//! takes it; the narrowest place of the path then spreads the train by exactly its rate (packet-train
//! dispersion; Dovrolis, Ramanathan, Moore, "What do packet dispersion techniques measure?", 2001).
//!
//! Lost packets alone say little: radio loses some at any rate. They count where packets also wait
//! (one-way delay above its minimum, as in RFC 6817, LEDBAT), or where nearly all are lost.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use authloop_protocol::quantity::{Bitrate, DataSize};
use rtc::interceptor::PacketReport;

/// Longest time between two departures in one train; on a slow path, that of [`MAX_GAP_PACKETS`].
const MAX_DEPARTURE_GAP: Duration = Duration::from_millis(30);
/// The same in full packets at the estimated rate.
const MAX_GAP_PACKETS: f64 = 2.5;
/// Longest time that a train takes to leave, so that a path that changes is followed in a stream
/// without gaps, too; on a slow path, that of [`MAX_TRAIN_PACKETS`].
const MAX_TRAIN_DURATION: Duration = Duration::from_millis(100);
/// The same in full packets at the estimated rate.
const MAX_TRAIN_PACKETS: f64 = 12.0;
/// Size of a full packet.
const FULL_PACKET: DataSize = DataSize::from_bytes(1_200);
/// Highest estimate. More is never used, and what a train on the loopback says would take long to
/// unlearn.
const MAX_CAPACITY: Bitrate = Bitrate::from_mbps(60);
/// Lowest first estimate from a train that came through freely. One at less was only sent at less: a
/// still page's few packets, over a path of which nothing is known.
const MIN_FIRST_LOWER_BOUND: Bitrate = Bitrate::from_mbps(5);
/// Packets that a train needs before we estimate from it.
const MIN_PACKETS: u32 = 8;
/// Packets that suffice when the train is spread over [`SPARSE_SPREAD`] or more. Pictures on a slow
/// path are small, but neither jitter nor a busy CPU separates packets that far.
const MIN_PACKETS_SPARSE: u32 = 4;
const SPARSE_SPREAD: Duration = Duration::from_millis(40);
/// Largest share of the spread that one gap may take. Beyond it, a CPU stalled; the path did not slow
/// down.
const MAX_GAP_SHARE: f64 = 0.6;
/// Packets that suffice for a hint, which counts only if they came at [`HINT_SPEEDUP`] times the
/// estimate. They do not tell how much more the path carries, but a page of small pictures would
/// never tell it otherwise.
const MIN_PACKETS_HINT: u32 = 3;
const HINT_SPEEDUP: f64 = 4.0;
/// Factor by which a hint raises the estimate.
const PROBE_GAIN: f64 = 2.0;
/// Shortest time that is told from none: arrivals are reported in steps of 250 µs, and sockets are
/// read in batches.
const TIME_RESOLUTION: Duration = Duration::from_millis(2);
/// Share of its departure rate at which a train still counts as one that found no narrow place.
const UNCONGESTED_RATIO: f64 = 0.85;
/// Delay above the minimum from which a train waited in a queue that was there before; beside the time
/// that a packet takes.
const QUEUEING_DELAY: Duration = Duration::from_millis(50);
/// Time for which the minimum delay is kept, once to twice: the path may have become a longer one.
const MIN_DELAY_WINDOW: Duration = Duration::from_secs(30);
/// Share of the difference by which one train moves the estimate.
const SMOOTHING: f64 = 0.5;
/// Spread from which a train is believed at once if its rate is at most [`COLLAPSE_RATIO`] of the
/// estimate: what is sent until a second one confirms it would be lost, and all that depends on it.
const COLLAPSE_DURATION: Duration = Duration::from_millis(100);
const COLLAPSE_RATIO: f64 = 0.125;
/// Share of the estimate from which a train that came through freely is a reason to raise it by
/// [`GROWTH_FACTOR`].
const NEAR_ESTIMATE_RATIO: f64 = 0.7;
const GROWTH_FACTOR: f64 = 1.08;
/// Packets that a train needs before its losses mean that the estimate is far too high.
const OVERLOAD_MIN_PACKETS: u32 = 12;
/// Share of them that must be lost.
const OVERLOAD_LOSS: f64 = 0.6;
/// Factor by which an overload lowers the estimate; what was sent before the answer to it does not
/// lower it again.
const OVERLOAD_BACKOFF: f64 = 0.25;

/// Departure and arrival of one packet.
#[derive(Debug, Clone, Copy)]
struct PacketTiming {
    departure: Instant,
    arrival: Duration,
    /// What was sent of its train, up to and with it.
    sent: DataSize,
    /// What was received of its train, up to and with it.
    received: DataSize,
}

/// The packets of one train so far.
#[derive(Debug, Clone, Copy)]
struct PacketTrain {
    first_departure: Instant,
    last_departure: Instant,
    /// The first and the last packet that arrived.
    arrivals: Option<(PacketTiming, PacketTiming)>,
    /// The longest time between two successive arrivals.
    max_gap: Duration,
    sent: DataSize,
    received: DataSize,
    packets: u32,
    lost: u32,
}

/// What a train says about the path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sample {
    /// The path carries at least this rate.
    LowerBound(Bitrate),
    /// The path carries this rate, as evenly spread arrivals showed for this time.
    Measured(Bitrate, Duration),
    /// The path carried a few packets at this rate.
    Hint(Bitrate),
    /// The path carries next to nothing of what was sent.
    Overload,
}

impl PacketTrain {
    fn new(departure: Instant) -> Self {
        Self {
            first_departure: departure,
            last_departure: departure,
            arrivals: None,
            max_gap: Duration::ZERO,
            sent: DataSize::ZERO,
            received: DataSize::ZERO,
            packets: 0,
            lost: 0,
        }
    }

    fn add(&mut self, report: &PacketReport) {
        let size = DataSize::from_bytes(report.size);
        self.sent += size;
        self.last_departure = self.last_departure.max(report.departure);
        self.packets += 1;
        let Some(arrival) = report.arrival.filter(|_| report.arrived) else {
            self.lost += 1;
            return;
        };
        self.received += size;
        let timing = PacketTiming {
            departure: report.departure,
            arrival,
            sent: self.sent,
            received: self.received,
        };
        match &mut self.arrivals {
            None => self.arrivals = Some((timing, timing)),
            Some((_, last)) if arrival >= last.arrival => {
                self.max_gap = self.max_gap.max(arrival - last.arrival);
                *last = timing;
            }
            // Overtaken on the way.
            Some((_, last)) => (last.sent, last.received) = (self.sent, self.received),
        }
    }

    /// What the train says, given whether a packet `was_queued` behind earlier trains.
    fn sample(&self, was_queued: impl Fn(&PacketTiming) -> bool) -> Option<Sample> {
        if self.packets >= OVERLOAD_MIN_PACKETS
            && f64::from(self.lost) > f64::from(self.packets) * OVERLOAD_LOSS
        {
            return Some(Sample::Overload);
        }
        let (first, last) = self.arrivals?;
        let spread = last.arrival.saturating_sub(first.arrival);
        let rate = |size: DataSize, time: Duration| size / time.max(TIME_RESOLUTION);
        let departure_rate = rate(
            last.sent.saturating_sub(first.sent),
            last.departure.saturating_duration_since(first.departure),
        );
        // Packets lost in between took their time, too, where nothing waited.
        let passing_rate = rate(last.sent.saturating_sub(first.sent), spread);
        if self.packets < MIN_PACKETS && spread < SPARSE_SPREAD {
            return (self.packets >= MIN_PACKETS_HINT).then_some(Sample::Hint(passing_rate));
        }
        let is_even = self.max_gap.as_secs_f64() <= spread.as_secs_f64() * MAX_GAP_SHARE;
        if self.packets < MIN_PACKETS && (self.packets < MIN_PACKETS_SPARSE || !is_even) {
            return None;
        }
        if passing_rate >= departure_rate * UNCONGESTED_RATIO && !was_queued(&last) {
            return (passing_rate > Bitrate::ZERO).then_some(Sample::LowerBound(passing_rate));
        }
        let arrival_rate = rate(last.received.saturating_sub(first.received), spread);
        let even_spread = if is_even { spread } else { Duration::ZERO };
        (arrival_rate > Bitrate::ZERO).then_some(Sample::Measured(arrival_rate, even_spread))
    }
}

/// The lowest one-way delay of late, up to a constant: the clocks differ.
#[derive(Debug, Default)]
struct MinDelay {
    /// What departures are counted from.
    epoch: Option<Instant>,
    window_start: Option<Instant>,
    /// Microseconds, of the window before this one.
    previous: Option<i64>,
    /// Microseconds, of this window.
    current: Option<i64>,
}

impl MinDelay {
    /// The packet's delay in microseconds, from an unknown zero.
    fn delay(&self, timing: &PacketTiming) -> i64 {
        let epoch = self.epoch.unwrap_or(timing.departure);
        let departure = timing.departure.saturating_duration_since(epoch);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4);
        micros(timing.arrival) - micros(departure)
    }

    fn add(&mut self, timing: &PacketTiming) {
        self.epoch.get_or_insert(timing.departure);
        let start = *self.window_start.get_or_insert(timing.departure);
        if timing.departure.saturating_duration_since(start) > MIN_DELAY_WINDOW {
            self.window_start = Some(timing.departure);
            self.previous = self.current.take();
        }
        let delay = self.delay(timing);
        self.current = Some(self.current.map_or(delay, |least| least.min(delay)));
    }

    /// How long the packet waited in queues: its delay above the minimum.
    fn queueing_delay(&self, timing: &PacketTiming) -> Duration {
        let least = [self.previous, self.current].into_iter().flatten().min();
        let excess = least.map_or(0, |least| self.delay(timing) - least);
        Duration::from_micros(u64::try_from(excess).unwrap_or_default())
    }
}

/// Estimates what the path carries, over all trains.
#[derive(Debug, Default)]
pub(super) struct BandwidthEstimator {
    train: Option<PacketTrain>,
    min_delay: MinDelay,
    /// The estimate before the current train.
    previous: Option<Bitrate>,
    /// The estimate.
    capacity: Option<Bitrate>,
    /// When an overload was answered last.
    backed_off_at: Option<Instant>,
}

impl BandwidthEstimator {
    /// Takes what the viewer reported at `now`, in the order in which it was sent.
    pub(super) fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        for report in reports {
            self.add(report);
        }
        let Some(train) = self.train else {
            return;
        };
        let max_delay = QUEUEING_DELAY + self.time_of_packets(1.0);
        let was_queued = |last: &PacketTiming| self.min_delay.queueing_delay(last) > max_delay;
        let Some(sample) = train.sample(was_queued) else {
            return;
        };
        if sample == Sample::Overload {
            let is_answered = |at: Instant| train.first_departure <= at;
            if self.backed_off_at.is_some_and(is_answered) {
                return;
            }
            self.backed_off_at = Some(now);
        }
        self.apply(sample);
    }

    /// Adds a packet to the current train, or begins another one with it.
    fn add(&mut self, report: &PacketReport) {
        let max_gap = MAX_DEPARTURE_GAP.max(self.time_of_packets(MAX_GAP_PACKETS));
        let max_duration = MAX_TRAIN_DURATION.max(self.time_of_packets(MAX_TRAIN_PACKETS));
        let since = |at| report.departure.saturating_duration_since(at);
        let continued = self.train.filter(|train| {
            since(train.last_departure) <= max_gap && since(train.first_departure) <= max_duration
        });
        if continued.is_none() {
            self.previous = self.capacity;
        }
        let mut train = continued.unwrap_or_else(|| PacketTrain::new(report.departure));
        train.add(report);
        if let Some((_, last)) = train.arrivals.filter(|_| report.arrived) {
            self.min_delay.add(&last);
        }
        self.train = Some(train);
    }

    /// The time that full packets take at the estimated rate.
    fn time_of_packets(&self, packets: f64) -> Duration {
        let capacity = self.capacity.unwrap_or(MAX_CAPACITY);
        FULL_PACKET * packets / capacity
    }

    /// Moves the estimate by what the current train says. A train that is reported in parts gives
    /// several samples, each of which replaces the one before.
    fn apply(&mut self, sample: Sample) {
        let capacity = match (sample, self.previous) {
            (Sample::LowerBound(rate), Some(previous))
                if rate >= previous * NEAR_ESTIMATE_RATIO =>
            {
                previous.max(rate) * GROWTH_FACTOR
            }
            (Sample::LowerBound(_), Some(previous)) => previous,
            (Sample::Measured(rate, time), Some(previous))
                if time >= COLLAPSE_DURATION && rate < previous * COLLAPSE_RATIO =>
            {
                rate
            }
            (Sample::Measured(rate, _), Some(previous)) => {
                previous * (1.0 - SMOOTHING) + rate * SMOOTHING
            }
            (Sample::LowerBound(rate), None) if rate < MIN_FIRST_LOWER_BOUND => return,
            (Sample::LowerBound(rate) | Sample::Measured(rate, _), None) => rate,
            (Sample::Hint(rate), Some(previous)) if rate >= previous * HINT_SPEEDUP => {
                previous * PROBE_GAIN
            }
            (Sample::Hint(_), Some(previous)) => previous,
            (Sample::Hint(_), None) => return,
            (Sample::Overload, Some(previous)) => previous * OVERLOAD_BACKOFF,
            (Sample::Overload, None) => return,
        };
        self.capacity = Some(capacity.min(MAX_CAPACITY));
    }

    /// What the path carries; `None` before the first train that tells.
    pub(super) fn capacity(&self) -> Option<Bitrate> {
        self.capacity
    }
}
