//! How many bits a second the viewer's path takes, and the pacer that keeps to it.

mod dispersion;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rtc::interceptor::{
    BandwidthEstimator, CongestionControlBuilder, EstimatorStats, PacerBuilder, PacketReport,
    Registry, Slot, TwccSenderBuilder,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::shared::error::Error;
use webrtc::peer_connection::MediaEngine;

use self::dispersion::Trains;
use super::pacing::Paced;

const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Bits a second before the first feedback.
const INITIAL_BITRATE: f64 = 4_000_000.0;
const MIN_BITRATE: f64 = 64_000.0;
const MAX_BITRATE: f64 = 40_000_000.0;
/// What is used of what the path was seen to carry; the rest is for keys, for packets sent again, and
/// lets queues drain.
const SHARE: f64 = 0.75;
/// Packets leave this much faster than the target, but never faster than the path was seen to carry:
/// what is sent again after a loss must not make the next one.
const PACE: f64 = 1.15;
/// So much leaves at once, faster than that: a bunch that finds out what the path carries.
const BURST_BITS: f64 = 40_000.0;

/// The congestion controller's latest target, in bits a second.
#[derive(Clone)]
pub struct TargetBitrate(Arc<AtomicU32>);

impl TargetBitrate {
    /// The target now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows what the path carries, and publishes the target.
pub(super) struct Estimator {
    trains: Trains,
    target: TargetBitrate,
}

impl Estimator {
    pub(super) fn new() -> (Self, TargetBitrate) {
        let target = TargetBitrate(Arc::new(AtomicU32::new(INITIAL_BITRATE as u32)));
        let estimator = Self {
            trains: Trains::default(),
            target: target.clone(),
        };
        (estimator, target)
    }

    fn target(&self) -> f64 {
        let seen = self.trains.capacity().map(|capacity| capacity * SHARE);
        let target = seen.unwrap_or(INITIAL_BITRATE);
        target.clamp(MIN_BITRATE, MAX_BITRATE)
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.trains.on_reports(now, reports);
        self.target.0.store(self.target() as u32, Ordering::Relaxed);
    }

    /// The pacer's rate: nobody else asks here.
    fn target_bitrate(&self) -> f64 {
        self.target() * PACE
    }

    fn stats(&self) -> EstimatorStats {
        EstimatorStats::default()
    }
}

/// Has `media` ask for transport-wide feedback, and puts estimator and pacer into `registry`.
///
/// Not the library's `configure_congestion_control`, whose pacer begins at 1 Mbit/s whatever the
/// estimator says, and stays there until the estimate changes. `ask_keyframe`: see [`Paced::new`].
///
/// # Errors
/// What the media engine says of a feedback or extension that it does not take.
pub(super) fn congestion_control(
    registry: Registry,
    media: &mut MediaEngine,
    ask_keyframe: impl FnMut() + Send + Sync + 'static,
) -> Result<(Registry, TargetBitrate), Error> {
    media.register_feedback(
        RTCPFeedback {
            typ: "transport-cc".to_owned(),
            parameter: String::new(),
        },
        RtpCodecKind::Video,
    );
    media.register_header_extension(
        RTCRtpHeaderExtensionCapability {
            uri: TRANSPORT_CC_URI.to_owned(),
        },
        RtpCodecKind::Video,
        None,
    )?;
    let (estimator, target) = Estimator::new();
    let pacer = PacerBuilder::new()
        .with_target_bitrate(INITIAL_BITRATE * PACE)
        .with_burst_bits(BURST_BITS);
    let registry = registry
        .with(
            Slot::CongestionControl,
            CongestionControlBuilder::new(estimator).build(),
        )
        .with(Slot::Pacer, Paced::new(pacer.build(), ask_keyframe))
        .with(Slot::TwccSender, TwccSenderBuilder::new().build());
    Ok((registry, target))
}
