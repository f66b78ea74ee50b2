//! The library's pacer, which sends again what is worth it.
//!
//! A viewer that waits for lost packets asks for all of them in every round trip. Where a picture takes
//! longer than that to leave, the pacer's queue would fill with the same packets over and over, and
//! everything newer would wait behind them. So each waits there only once; and where a path broke down
//! and a second's worth is missing, a keyframe is sooner there than all that was lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rtc::interceptor::{
    Attribute, Interceptor, PacerInterceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// What left so lately is still on its way, whoever asks for it again; on a slow path longer, by the
/// time of so many bits, which may wait before it.
const UNDER_WAY: Duration = Duration::from_millis(100);
const BEFORE_IT: f64 = 30_000.0;
/// What takes longer to leave than this is given up for a keyframe.
const WORTH: Duration = Duration::from_millis(500);
/// As many packets as the library keeps for sending again.
const KEPT: usize = 1024;

/// A pacer for one stream: packets go by their sequence numbers alone.
pub(super) struct Paced {
    inner: PacerInterceptor,
    /// In the pacer's queue.
    waiting: HashSet<u16>,
    /// What left lately and when, by sequence number modulo [`KEPT`].
    left: Vec<Option<(u16, Instant)>>,
    /// The newest packet but for those sent again.
    newest: u16,
    /// The newest that was given up.
    given_up: Option<u16>,
    ask_keyframe: Box<dyn FnMut() + Send + Sync>,
}

impl Paced {
    /// `ask_keyframe` is called, and must return at once, when lost packets are given up.
    pub(super) fn new(
        inner: PacerInterceptor,
        ask_keyframe: impl FnMut() + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            newest: 0,
            given_up: None,
            ask_keyframe: Box::new(ask_keyframe),
            waiting: HashSet::new(),
            left: vec![None; KEPT],
        }
    }

    /// Whether a lost packet is to be sent again, at `now`.
    fn is_worth_it(&mut self, number: u16, bits: f64, now: Instant) -> bool {
        if self.is_under_way(number, now)
            || self.given_up.is_some_and(|last| !is_newer(number, last))
        {
            return false;
        }
        // All are about as large as this one.
        let queued = self.inner.queued() as f64 * bits;
        if queued / self.rate() < WORTH.as_secs_f64() {
            return true;
        }
        self.given_up = Some(self.newest);
        (self.ask_keyframe)();
        false
    }

    /// Bits a second.
    fn rate(&self) -> f64 {
        self.inner.pacer().target_bitrate().max(1.0)
    }

    fn is_under_way(&self, number: u16, now: Instant) -> bool {
        let under_way = UNDER_WAY + Duration::from_secs_f64(BEFORE_IT / self.rate());
        self.waiting.contains(&number)
            || self.left[usize::from(number) % KEPT].is_some_and(|(left, at)| {
                left == number && now.saturating_duration_since(at) < under_way
            })
    }
}

/// By serial number arithmetic (RFC 1982).
fn is_newer(number: u16, than: u16) -> bool {
    number != than && number.wrapping_sub(than) < 1 << 15
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Paced {
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
        let again = msg.message.get(&Attribute::Retransmission).is_some();
        if again {
            let bits = packet.payload.len() as f64 * 8.0;
            if !self.is_worth_it(number, bits, msg.now) {
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
            self.waiting.insert(number);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        let msg = self.inner.poll_write()?;
        if let Packet::Rtp(packet) = &msg.message.packet {
            let number = packet.header.sequence_number;
            self.waiting.remove(&number);
            self.left[usize::from(number) % KEPT] = Some((number, msg.now));
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

impl Interceptor for Paced {
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rtc::interceptor::{AttributedPacket, PacerBuilder};
    use rtc::rtp;
    use rtc::shared::TransportContext;

    use super::*;

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

    fn leaving(paced: &mut Paced, now: Instant) -> Vec<u16> {
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
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        // A packet in 80 ms.
        let pacer = PacerBuilder::new()
            .with_target_bitrate(100_000.0)
            .with_burst_bits(0.0);
        let mut paced = Paced::new(pacer.build(), || panic!("nothing is to be given up"));
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
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let pacer = PacerBuilder::new()
            .with_target_bitrate(10_000_000.0)
            .with_burst_bits(0.0);
        let mut paced = Paced::new(pacer.build(), move || {
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
