//! The library's pacer, without the retransmissions that are not worth sending. Pure.
//!
//! A viewer that waits for lost packets asks for all of them in every round trip. Where a picture takes
//! longer than that to leave, the pacer's queue would fill with the same packets over and over, and
//! everything newer would wait behind them. So each waits there only once; and where a path broke down
//! and a second's worth is missing, a keyframe arrives sooner than all that was lost.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use authloop_protocol::quantity::{Bitrate, DataSize};
use rtc::{
    interceptor::{Attribute, Interceptor, PacerInterceptor, Packet, StreamInfo, TaggedPacket},
    sansio::Protocol,
    shared::error::Error,
};

/// Time after a packet left during which it counts as on its way, even if it is asked for again,
/// beside the time that [`MAX_SIZE_AHEAD`] takes.
const MIN_TIME_IN_FLIGHT: Duration = Duration::from_millis(100);
/// What may wait before a packet on a slow path.
const MAX_SIZE_AHEAD: DataSize = DataSize::from_bits(30_000);
/// Longest time that a queue may take to leave before lost packets are given up for a keyframe.
const MAX_QUEUE_TIME: Duration = Duration::from_millis(500);
/// Packets whose departure is remembered: as many as the library keeps for sending again.
const MAX_REMEMBERED_PACKETS: usize = 1024;

/// A pacer that drops retransmissions that are not worth sending. It is for one stream: packets are
/// told apart by their sequence numbers alone.
pub(super) struct FilteringPacer {
    inner: PacerInterceptor,
    /// Sequence numbers in the pacer's queue.
    queued: HashSet<u16>,
    /// The packets that left last and when, by sequence number modulo [`MAX_REMEMBERED_PACKETS`].
    departures: Vec<Option<(u16, Instant)>>,
    /// The newest packet that was not sent again.
    newest: u16,
    /// The newest packet that was given up.
    given_up: Option<u16>,
    request_keyframe: Box<dyn FnMut() + Send + Sync>,
}

impl FilteringPacer {
    /// `request_keyframe` is called, and must return at once, when lost packets are given up.
    pub(super) fn new(
        inner: PacerInterceptor,
        request_keyframe: impl FnMut() + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            newest: 0,
            given_up: None,
            request_keyframe: Box::new(request_keyframe),
            queued: HashSet::new(),
            departures: vec![None; MAX_REMEMBERED_PACKETS],
        }
    }

    /// Whether a lost packet of this size is to be sent again at `now`. Asks for a keyframe if not,
    /// because the queue is too long.
    fn admit_retransmission(&mut self, number: u16, size: DataSize, now: Instant) -> bool {
        if self.is_in_flight(number, now)
            || self.given_up.is_some_and(|last| !is_newer(number, last))
        {
            return false;
        }
        // All are about as large as this one.
        let queued = size * self.inner.queued() as f64;
        if queued / self.rate() < MAX_QUEUE_TIME {
            return true;
        }
        self.given_up = Some(self.newest);
        (self.request_keyframe)();
        false
    }

    /// The pacing rate.
    fn rate(&self) -> Bitrate {
        Bitrate::from_bps_f64(self.inner.pacer().target_bitrate())
    }

    fn is_in_flight(&self, number: u16, now: Instant) -> bool {
        let max_time = MIN_TIME_IN_FLIGHT.saturating_add(MAX_SIZE_AHEAD / self.rate());
        self.queued.contains(&number)
            || self.departures[usize::from(number) % MAX_REMEMBERED_PACKETS].is_some_and(
                |(departed, at)| departed == number && now.saturating_duration_since(at) < max_time,
            )
    }
}

/// Compares by serial number arithmetic (RFC 1982).
fn is_newer(number: u16, than: u16) -> bool {
    number != than && number.wrapping_sub(than) < 1 << 15
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for FilteringPacer {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        self.inner.handle_read(msg)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_read()
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let Packet::Rtp(packet) = &msg.message.packet else {
            return self.inner.handle_write(msg);
        };
        let number = packet.header.sequence_number;
        let is_retransmission = msg.message.get(&Attribute::Retransmission).is_some();
        if is_retransmission {
            let size = DataSize::from_bytes(packet.payload.len());
            if !self.admit_retransmission(number, size, msg.now) {
                return Ok(());
            }
        } else {
            self.newest = number;
            // Half a turn of the numbers later, what was given up would count as newer.
            self.given_up = self
                .given_up
                .filter(|last| number.wrapping_sub(*last) < 1 << 14);
        }
        let dropped = self.inner.dropped();
        self.inner.handle_write(msg)?;
        if self.inner.dropped() == dropped {
            self.queued.insert(number);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        let msg = self.inner.poll_write()?;
        if let Packet::Rtp(packet) = &msg.message.packet {
            let number = packet.header.sequence_number;
            self.queued.remove(&number);
            self.departures[usize::from(number) % MAX_REMEMBERED_PACKETS] = Some((number, msg.now));
        }
        Some(msg)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.inner.handle_timeout(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.inner.poll_timeout()
    }
}

impl Interceptor for FilteringPacer {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_local_stream(info);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_local_stream(info);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_remote_stream(info);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use rtc::{
        interceptor::{AttributedPacket, PacerBuilder},
        rtp,
        shared::TransportContext,
    };

    use super::*;
    use crate::testing::some_time;

    fn packet(number: u16, again: bool, now: Instant) -> TaggedPacket {
        let packet = rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                sequence_number: number,
                ..Default::default()
            },
            payload: vec![0; 1000].into(),
        };
        let mut message = AttributedPacket::new(Packet::Rtp(packet));
        if again {
            message.add(Attribute::Retransmission);
        }
        TaggedPacket {
            now,
            transport: TransportContext::default(),
            message,
        }
    }

    fn leaving(paced: &mut FilteringPacer, now: Instant) -> Vec<u16> {
        paced.handle_timeout(now).unwrap();
        std::iter::from_fn(|| paced.poll_write())
            .map(|msg| match msg.message.packet {
                Packet::Rtp(packet) => packet.header.sequence_number,
                _ => unreachable!(),
            })
            .collect()
    }

    #[test]
    fn what_waits_or_has_just_left_is_not_queued_again() {
        let start = some_time();
        let later = |ms| start + Duration::from_millis(ms);
        // A packet in 80 ms.
        let pacer = PacerBuilder::new()
            .with_target_bitrate(100_000.0)
            .with_burst_bits(0.0);
        let mut paced = FilteringPacer::new(pacer.build(), || panic!("nothing is to be given up"));
        for number in [7, 8] {
            paced.handle_write(packet(number, false, start)).unwrap();
        }
        assert_eq!(leaving(&mut paced, start), [7]);
        for _ in 0..10 {
            for number in [7, 8] {
                paced.handle_write(packet(number, true, later(50))).unwrap();
            }
        }
        assert_eq!(leaving(&mut paced, later(150)), [8]);
        assert!(leaving(&mut paced, later(1000)).is_empty());
        // Lost indeed: it is sent again.
        paced.handle_write(packet(7, true, later(1000))).unwrap();
        paced.handle_write(packet(7, true, later(1000))).unwrap();
        assert_eq!(leaving(&mut paced, later(1100)), [7]);
        assert!(leaving(&mut paced, later(2000)).is_empty());
    }

    #[test]
    fn what_takes_too_long_is_given_up_for_a_keyframe() {
        let start = some_time();
        let later = |ms| start + Duration::from_millis(ms);
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let pacer = PacerBuilder::new()
            .with_target_bitrate(10_000_000.0)
            .with_burst_bits(0.0);
        let mut paced = FilteringPacer::new(pacer.build(), move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let first = u16::MAX - 50;
        let numbers = || (0..100).map(|n| first.wrapping_add(n));
        for number in numbers() {
            paced.handle_write(packet(number, false, start)).unwrap();
        }
        for ms in 0..200 {
            leaving(&mut paced, later(ms));
        }
        // All are lost, and the path carries 100 kbit/s from now on: 6 packets in half a second.
        paced.inner.pacer_mut().set_target_bitrate(100_000.0);
        for _ in 0..5 {
            for number in numbers() {
                paced
                    .handle_write(packet(number, true, later(1000)))
                    .unwrap();
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let key = first.wrapping_add(100);
        paced.handle_write(packet(key, false, later(1000))).unwrap();
        let left: Vec<u16> = (1000..3000)
            .flat_map(|ms| leaving(&mut paced, later(ms)))
            .collect();
        assert!(left.len() < 10, "{left:?}");
        assert_eq!(left.last(), Some(&key));
        // The keyframe's own packets are worth it.
        paced.handle_write(packet(key, true, later(4000))).unwrap();
        assert_eq!(leaving(&mut paced, later(4100)), [key]);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
