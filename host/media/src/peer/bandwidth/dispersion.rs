//! How much a path carries, read from how bunches of packets spread on the way. Pure.
//!
//! A page is still most of the time, so what the viewer receives says nothing of what it could: a
//! controller that backs off to a part of the received rate, as Google's does, takes an idle page
//! for a slow path. But every picture leaves as a bunch, faster than a slow path takes it; what
//! comes out of the path's narrowest place then is spread out by exactly its rate (packet-train
//! dispersion; Dovrolis, Ramanathan, Moore, "What do packet dispersion techniques measure?", 2001).
//!
//! Lost packets alone say little: radio loses some whatever the rate. They count where packets also
//! wait (one-way delay over its least, as in RFC 6817, LEDBAT), or where nearly all are lost.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use rtc::interceptor::PacketReport;

/// Packets further apart than this are of different bunches; or, where one takes longer, than so
/// many take.
const GAP: Duration = Duration::from_millis(30);
const GAP_PACKETS: f64 = 2.5;
/// A stream without gaps is taken in pieces, so that a path that changes is followed; in such of so
/// many packets, where they take longer.
const LONGEST: Duration = Duration::from_millis(100);
const LONGEST_PACKETS: f64 = 12.0;
/// Bits of a full packet.
const PACKET: f64 = 9600.0;
/// More is never used, and what a loopback bunch tells would take long to unlearn.
const CEILING: f64 = 60_000_000.0;
/// So much is taken for granted, in bits a second. What came through freely at less was sent at less:
/// a still page's few packets, over a path of which nothing is known.
const ASSUMED: f64 = 5_000_000.0;
/// Fewer say too little.
const PACKETS: u32 = 8;
/// But so few do, once they are so far apart as neither jitter nor a busy machine brings them: a
/// slow path's pictures are small.
const FEW: u32 = 4;
const SPREAD: Duration = Duration::from_millis(40);
/// And evenly so: where one gap is more than this part of the whole, a machine stood still.
const EVEN: f64 = 0.6;
/// Even fewer do that came so many times as fast as the estimate allows. They do not tell how much
/// more it is, but a page of small pictures would never tell it otherwise.
const FEWEST: u32 = 3;
const FASTER: f64 = 4.0;
const TRY: f64 = 2.0;
/// Arrivals are told in steps of 250 µs, and sockets are read in batches.
const RESOLUTION: Duration = Duration::from_millis(2);
/// A bunch that arrives at nearly the rate it left at has not found the narrowest place.
const UNHINDERED: f64 = 0.85;
/// Unless it waited so long in a queue that was there before; beside the time that a packet takes.
const WAITED: Duration = Duration::from_millis(50);
/// The least delay is forgotten after one to two of these: the path may have become a longer one.
const MEMORY: Duration = Duration::from_secs(30);
/// How far one bunch moves an estimate.
const WEIGHT: f64 = 0.5;
/// But one that took so long, for so small a part of the estimate, is believed at once: what is sent
/// until a second one says so would be lost, and all that it was needed for with it.
const COLLAPSE: Duration = Duration::from_millis(100);
const COLLAPSED: f64 = 0.125;
/// One that came through freely, at nearly the rate of the estimate, is reason to try a little more.
const NEARLY: f64 = 0.7;
const MORE: f64 = 1.08;
/// So many packets, so much of them lost, are a path that carries a small part of what was thought.
/// What was sent before the answer to that says it again.
const FLOOD: u32 = 12;
const FLOODED: f64 = 0.6;
const FLOOD_LEAVES: f64 = 0.25;

/// One packet's times.
#[derive(Debug, Clone, Copy)]
struct Passage {
    left: Instant,
    arrived: Duration,
    /// Bits sent and received of its bunch, up to and with it.
    sent: f64,
    received: f64,
}

/// The packets of one bunch so far.
#[derive(Debug, Clone, Copy)]
struct Train {
    left: (Instant, Instant),
    /// The first and the last that arrived.
    arrived: Option<(Passage, Passage)>,
    /// The longest time between two that arrived one after the other.
    gap: Duration,
    sent: f64,
    received: f64,
    packets: u32,
    lost: u32,
}

/// What a bunch told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    /// The path carries at least so many bits a second.
    AtLeast(f64),
    /// It carries so many, as was evenly seen for so long.
    Exactly(f64, Duration),
    /// It carried a few packets at so many.
    Glimpse(f64),
    /// It carries next to nothing of what was sent.
    Flooded,
}

impl Train {
    fn new(left: Instant) -> Self {
        Self {
            left: (left, left),
            arrived: None,
            gap: Duration::ZERO,
            sent: 0.0,
            received: 0.0,
            packets: 0,
            lost: 0,
        }
    }

    fn add(&mut self, report: &PacketReport) {
        let bits = report.size as f64 * 8.0;
        self.sent += bits;
        self.left.1 = self.left.1.max(report.departure);
        self.packets += 1;
        let Some(arrived) = report.arrival.filter(|_| report.arrived) else {
            self.lost += 1;
            return;
        };
        self.received += bits;
        let passage = Passage {
            left: report.departure,
            arrived,
            sent: self.sent,
            received: self.received,
        };
        match &mut self.arrived {
            None => self.arrived = Some((passage, passage)),
            Some((_, last)) if arrived >= last.arrived => {
                self.gap = self.gap.max(arrived - last.arrived);
                *last = passage;
            }
            // Overtaken on the way.
            Some((_, last)) => (last.sent, last.received) = (self.sent, self.received),
        }
    }

    /// What it tells, given whether the last packet `waited`.
    fn tells(&self, waited: impl Fn(&Passage) -> bool) -> Option<Told> {
        if self.packets >= FLOOD && f64::from(self.lost) > f64::from(self.packets) * FLOODED {
            return Some(Told::Flooded);
        }
        let (first, last) = self.arrived?;
        let spread = last.arrived.saturating_sub(first.arrived);
        let rate = |bits: f64, time: Duration| bits / time.max(RESOLUTION).as_secs_f64();
        let left = rate(
            last.sent - first.sent,
            last.left.saturating_duration_since(first.left),
        );
        // Those lost between them took their time, too, where nothing waited.
        let through = rate(last.sent - first.sent, spread);
        if self.packets < PACKETS && spread < SPREAD {
            return (self.packets >= FEWEST).then_some(Told::Glimpse(through));
        }
        let is_even = self.gap.as_secs_f64() <= spread.as_secs_f64() * EVEN;
        if self.packets < PACKETS && (self.packets < FEW || !is_even) {
            return None;
        }
        if through >= left * UNHINDERED && !waited(&last) {
            return (through > 0.0).then_some(Told::AtLeast(through));
        }
        let arrived = rate(last.received - first.received, spread);
        let seen = if is_even { spread } else { Duration::ZERO };
        (arrived > 0.0).then_some(Told::Exactly(arrived, seen))
    }
}

/// The least one-way delay of late, up to a constant: the clocks differ.
#[derive(Debug, Default)]
struct LeastDelay {
    /// What departures are counted from.
    epoch: Option<Instant>,
    since: Option<Instant>,
    before: Option<i64>,
    now: Option<i64>,
}

impl LeastDelay {
    /// In microseconds, from an unknown zero.
    fn delay(&self, passage: &Passage) -> i64 {
        let epoch = self.epoch.unwrap_or(passage.left);
        let left = passage.left.saturating_duration_since(epoch);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4);
        micros(passage.arrived) - micros(left)
    }

    fn add(&mut self, passage: &Passage) {
        self.epoch.get_or_insert(passage.left);
        let since = *self.since.get_or_insert(passage.left);
        if passage.left.saturating_duration_since(since) > MEMORY {
            self.since = Some(passage.left);
            self.before = self.now.take();
        }
        let delay = self.delay(passage);
        self.now = Some(self.now.map_or(delay, |least| least.min(delay)));
    }

    fn waited(&self, passage: &Passage) -> Duration {
        let least = [self.before, self.now].into_iter().flatten().min();
        let over = least.map_or(0, |least| self.delay(passage) - least);
        Duration::from_micros(u64::try_from(over).unwrap_or_default())
    }
}

/// The estimate over all bunches.
#[derive(Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    least: LeastDelay,
    /// Before the current bunch.
    before: Option<f64>,
    capacity: Option<f64>,
    /// When a flood was answered last.
    answered: Option<Instant>,
}

impl Trains {
    /// Takes what the viewer reported at `now`, in the order in which it was sent.
    pub(super) fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        for report in reports {
            let packet = PACKET / self.capacity.unwrap_or(CEILING);
            let slow = |packets: f64| Duration::from_secs_f64(packet * packets);
            let apart = self.current.is_none_or(|train| {
                let since = |at| report.departure.saturating_duration_since(at);
                since(train.left.1) > GAP.max(slow(GAP_PACKETS))
                    || since(train.left.0) > LONGEST.max(slow(LONGEST_PACKETS))
            });
            if apart {
                self.before = self.capacity;
                self.current = Some(Train::new(report.departure));
            }
            let Some(train) = &mut self.current else {
                continue;
            };
            train.add(report);
            if let Some((_, last)) = train.arrived.filter(|_| report.arrived) {
                self.least.add(&last);
            }
        }
        let Some(train) = self.current else {
            return;
        };
        let packet = PACKET / self.capacity.unwrap_or(CEILING);
        let much = WAITED + Duration::from_secs_f64(packet);
        let Some(told) = train.tells(|last| self.least.waited(last) > much) else {
            return;
        };
        if told == Told::Flooded {
            if self
                .answered
                .is_some_and(|answered| train.left.0 <= answered)
            {
                return;
            }
            self.answered = Some(now);
        }
        self.take(told);
    }

    /// A bunch that is reported in parts tells more than once; what it told before is replaced.
    fn take(&mut self, told: Told) {
        let capacity = match (told, self.before) {
            (Told::AtLeast(rate), Some(before)) if rate >= before * NEARLY => {
                before.max(rate) * MORE
            }
            (Told::AtLeast(_), Some(before)) => before,
            (Told::Exactly(rate, time), Some(before))
                if time >= COLLAPSE && rate < before * COLLAPSED =>
            {
                rate
            }
            (Told::Exactly(rate, _), Some(before)) => before + (rate - before) * WEIGHT,
            (Told::AtLeast(rate), None) if rate < ASSUMED => return,
            (Told::AtLeast(rate) | Told::Exactly(rate, _), None) => rate,
            (Told::Glimpse(rate), Some(before)) if rate >= before * FASTER => before * TRY,
            (Told::Glimpse(_), Some(before)) => before,
            (Told::Glimpse(_), None) => return,
            (Told::Flooded, Some(before)) => before * FLOOD_LEAVES,
            (Told::Flooded, None) => return,
        };
        self.capacity = Some(capacity.min(CEILING));
    }

    /// What the path carries, in bits a second; `None` before a bunch told.
    pub(super) fn capacity(&self) -> Option<f64> {
        self.capacity
    }
}
