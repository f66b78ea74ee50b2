//! The load itself: video one way, small packets back, from one thread that never sleeps.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{ice, net::BATCH_SIZE, packet::Packet, subject::Subject, turn};

/// A video packet's payload.
const VIDEO_BYTES: usize = 1200;
/// A receiver report, a pointer move: what comes back.
const SMALL_BYTES: usize = 80;
/// Video packets for each one that comes back.
const VIDEO_PER_SMALL: u64 = 10;
/// After this long without a packet those in flight count as lost.
const STALL_TIMEOUT: Duration = Duration::from_millis(20);

/// How the load comes: as much as fits, or evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadProfile {
    /// A fixed number of packets in flight over all sessions.
    Saturated {
        /// Packets in flight.
        window: u64,
    },
    /// A fixed number of packets a second, evenly spaced.
    Paced {
        /// Packets a second, over all sessions.
        pps: u64,
    },
}

/// How much load to drive, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadSpec {
    /// Sessions to spread it over, in turn.
    pub sessions: u32,
    /// How it comes.
    pub profile: LoadProfile,
    /// For how long.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadOutcome {
    /// Video packets sent.
    pub sent: u64,
    /// Video packets that arrived.
    pub received: u64,
    /// Small packets that arrived.
    pub back: u64,
    /// Packets a second that arrived, both ways.
    pub pps: f64,
    /// Video's way through the server and the kernel, in microseconds.
    pub p50_us: f64,
    /// As above.
    pub p99_us: f64,
    /// The server's processor time for each packet that arrived, in nanoseconds.
    pub cpu_ns: f64,
}

/// The name in the report's tables.
impl fmt::Display for LoadProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saturated { .. } => f.write_str("saturated"),
            Self::Paced { pps } => write!(f, "{pps} pps"),
        }
    }
}

struct Driver<'a> {
    subject: &'a mut Subject,
    load: LoadSpec,
    start: Instant,
    sent: u64,
    received: u64,
    back: u64,
    latency: Histogram<u64>,
    filler: [u8; VIDEO_BYTES],
}

/// Drives one load through a server, after a quarter of it as a warm-up.
pub(crate) fn drive_warm(subject: &mut Subject, load: LoadSpec) -> Result<LoadOutcome> {
    let time = load.time / 4;
    drive(subject, LoadSpec { time, ..load })?;
    drive(subject, load)
}

/// Drives one load through a server.
pub(crate) fn drive(subject: &mut Subject, load: LoadSpec) -> Result<LoadOutcome> {
    let cpu = subject.cpu()?;
    let mut driver = Driver {
        subject,
        load,
        start: Instant::now(),
        sent: 0,
        received: 0,
        back: 0,
        latency: Histogram::new_with_bounds(1, 10_000_000_000, 3)?,
        filler: [0x5a; VIDEO_BYTES],
    };
    driver.run()?;
    let elapsed = driver.start.elapsed();
    let arrived = driver.received + driver.back;
    let (sent, received, back) = (driver.sent, driver.received, driver.back);
    let quantile = |q| driver.latency.value_at_quantile(q) as f64 / 1e3;
    let (p50_us, p99_us) = (quantile(0.5), quantile(0.99));
    let spent = subject.cpu()?.saturating_sub(cpu);
    Ok(LoadOutcome {
        sent,
        received,
        back,
        pps: arrived as f64 / elapsed.as_secs_f64(),
        p50_us,
        p99_us,
        cpu_ns: spent.as_nanos() as f64 / arrived.max(1) as f64,
    })
}

impl Driver<'_> {
    fn run(&mut self) -> Result<()> {
        let mut last_arrival = self.start;
        let mut written_off = 0;
        loop {
            let elapsed = self.start.elapsed();
            if elapsed >= self.load.time {
                break;
            }
            let due = match self.load.profile {
                LoadProfile::Paced { pps } => {
                    let due = (elapsed.as_nanos() * u128::from(pps) / 1_000_000_000) as u64;
                    // A driver that was held up does not make up for it in one burst.
                    due.saturating_sub(self.sent).min(BATCH_SIZE as u64)
                }
                LoadProfile::Saturated { window } => {
                    let in_flight = self.sent.saturating_sub(self.received + written_off);
                    window.saturating_sub(in_flight)
                }
            };
            self.send_video(due)?;
            if self.receive()? > 0 {
                last_arrival = Instant::now();
            } else if last_arrival.elapsed() > STALL_TIMEOUT {
                // More may have come than was sent: what the load before this one left on its way.
                written_off = self.sent.saturating_sub(self.received);
                last_arrival = Instant::now();
            }
        }
        let end = Instant::now();
        while self.received < self.sent && end.elapsed() < STALL_TIMEOUT {
            self.receive()?;
        }
        Ok(())
    }

    fn send_video(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            let session = (self.sent % u64::from(self.load.sessions)) as u32;
            let packet = Packet {
                video: true,
                session,
                sent: self.now(),
            };
            let (turn, filler) = (self.subject.is_turn(), &self.filler);
            self.subject
                .host
                .push(session, |out| write_packet(out, turn, packet, filler))?;
            self.sent += 1;
        }
        self.subject.host.flush()
    }

    fn receive(&mut self) -> Result<usize> {
        let now = self.now();
        let turn = self.subject.is_turn();
        let (mut replies, mut checks) = (Vec::new(), Vec::new());
        let (received, latency) = (&mut self.received, &mut self.latency);
        let video = self.subject.viewer.receive(|datagram| {
            match parse_packet(datagram, turn) {
                Some(packet) if packet.video => {
                    *received += 1;
                    latency.saturating_record(now.saturating_sub(packet.sent).max(1));
                    if received.is_multiple_of(VIDEO_PER_SMALL) {
                        replies.push(packet.session);
                    }
                }
                _ => checks.extend(ice::relays_check(datagram)),
            }
            Ok(())
        })?;
        for (n, id) in checks {
            ice::answer(&mut self.subject.viewer, n, id)?;
        }
        for session in replies {
            let packet = Packet {
                video: false,
                session,
                sent: now,
            };
            let filler = &self.filler[..SMALL_BYTES];
            self.subject
                .viewer
                .push(session, |out| write_packet(out, turn, packet, filler))?;
        }
        self.subject.viewer.flush()?;
        let back = &mut self.back;
        let mut checks = Vec::new();
        let small = self.subject.host.receive(|datagram| {
            match parse_packet(datagram, turn) {
                Some(_) => *back += 1,
                None => checks.extend(ice::relays_check(datagram)),
            }
            Ok(())
        })?;
        for (n, id) in checks {
            ice::answer(&mut self.subject.host, n, id)?;
        }
        Ok(video + small)
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

fn write_packet(out: &mut Vec<u8>, turn: bool, packet: Packet, filler: &[u8]) {
    if turn {
        turn::wrap(out, filler.len());
    }
    let start = out.len();
    out.extend_from_slice(filler);
    packet.write(&mut out[start..]);
}

fn parse_packet(datagram: &[u8], turn: bool) -> Option<Packet> {
    let payload = if turn {
        turn::unwrap(datagram)?
    } else {
        datagram
    };
    Packet::parse(payload)
}
