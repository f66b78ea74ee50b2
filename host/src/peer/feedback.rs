//! What the viewer's RTCP asks of the encoder: keyframes and a bitrate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rtc::interceptor::{
    Attribute, BandwidthEstimator, EstimatorStats, Gcc, Interceptor, Packet, PacketReport,
    StreamInfo, TaggedPacket,
};
use rtc::rtcp::payload_feedbacks::{
    full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Bits a second before the first feedback.
const INITIAL_BITRATE: f64 = 4_000_000.0;
const MIN_BITRATE: f64 = 150_000.0;
const MAX_BITRATE: f64 = 20_000_000.0;

/// The congestion controller's latest target, in bits a second.
#[derive(Clone)]
pub struct TargetBitrate(Arc<AtomicU32>);

impl TargetBitrate {
    /// The target now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Google congestion control that publishes its target.
pub(super) struct PublishingGcc {
    inner: Gcc,
    target: TargetBitrate,
}

impl PublishingGcc {
    pub(super) fn new() -> (Self, TargetBitrate) {
        let target = TargetBitrate(Arc::new(AtomicU32::new(INITIAL_BITRATE as u32)));
        let inner = Gcc::new(INITIAL_BITRATE, MIN_BITRATE, MAX_BITRATE);
        let publishing = Self {
            inner,
            target: target.clone(),
        };
        (publishing, target)
    }

    fn publish(&self) {
        let target = self.inner.target_bitrate().clamp(MIN_BITRATE, MAX_BITRATE);
        self.target.0.store(target as u32, Ordering::Relaxed);
    }
}

impl BandwidthEstimator for PublishingGcc {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.inner.on_reports(now, reports);
        self.publish();
    }

    fn target_bitrate(&self) -> f64 {
        self.inner.target_bitrate()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
        self.publish();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn stats(&self) -> EstimatorStats {
        self.inner.stats()
    }
}

/// Hands keyframe requests (PLI and FIR, RFC 4585, RFC 5104) to the application. The library's
/// chain ends inbound RTCP unless a packet is marked.
#[derive(Default)]
pub(super) struct KeyframeRequests {
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for KeyframeRequests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut msg: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &mut msg.message.packet {
            packets.retain(|packet| {
                let packet = packet.as_any();
                packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>()
            });
            if packets.is_empty() {
                return Ok(());
            }
            msg.message.add(Attribute::DeliverToApplication);
        }
        self.inbound.push_back(msg);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        self.outbound.push_back(msg);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for KeyframeRequests {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
