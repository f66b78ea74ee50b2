//! How many bits a second the viewer's path takes, and the pacer that keeps to it.

mod dispersion;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use authloop_protocol::quantity::{Bitrate, DataSize};
use rtc::{
    interceptor::{
        self, CongestionControlBuilder, EstimatorStats, PacerBuilder, PacketReport, Registry, Slot,
        TwccSenderBuilder,
    },
    rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpHeaderExtensionCapability, RtpCodecKind},
    shared::error::Error,
};
use webrtc::peer_connection::MediaEngine;

use self::dispersion::BandwidthEstimator;
use super::pacing::FilteringPacer;

const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Target before the first feedback.
const INITIAL_BITRATE: Bitrate = Bitrate::from_mbps(4);
/// Lowest and highest target.
const MIN_BITRATE: Bitrate = Bitrate::from_kbps(64);
const MAX_BITRATE: Bitrate = Bitrate::from_mbps(40);
/// Share of what the path carries that is used; the rest is for keys, for packets sent again, and
/// lets queues drain.
const TARGET_SHARE: f64 = 0.75;
/// Factor by which packets leave faster than the target, but never faster than the path was seen to
/// carry: what is sent again after a loss must not make the next one.
const PACING_GAIN: f64 = 1.15;
/// What may leave at once, faster than that: a train that finds out what the path carries.
const MAX_BURST: DataSize = DataSize::from_bits(40_000);

/// The congestion controller's latest target, in whole bits a second.
#[derive(Debug, Clone)]
pub struct TargetBitrate(Arc<AtomicU64>);

impl TargetBitrate {
    /// The target now.
    pub fn get(&self) -> Bitrate {
        Bitrate::from_bps(self.0.load(Ordering::Relaxed))
    }
}

/// Follows what the path carries, and publishes the target.
pub(super) struct CongestionController {
    estimator: BandwidthEstimator,
    target: TargetBitrate,
}

impl CongestionController {
    pub(super) fn new() -> (Self, TargetBitrate) {
        let target = TargetBitrate(Arc::new(AtomicU64::new(INITIAL_BITRATE.as_bps())));
        let controller = Self {
            estimator: BandwidthEstimator::default(),
            target: target.clone(),
        };
        (controller, target)
    }

    fn target(&self) -> Bitrate {
        let used = self
            .estimator
            .capacity()
            .map(|capacity| capacity * TARGET_SHARE);
        let target = used.unwrap_or(INITIAL_BITRATE);
        target.clamp(MIN_BITRATE, MAX_BITRATE)
    }
}

impl interceptor::BandwidthEstimator for CongestionController {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.estimator.on_reports(now, reports);
        let bps = self.target().as_bps();
        self.target.0.store(bps, Ordering::Relaxed);
    }

    /// The pacer's rate: nothing else reads it.
    fn target_bitrate(&self) -> f64 {
        (self.target() * PACING_GAIN).as_bps_f64()
    }

    fn stats(&self) -> EstimatorStats {
        EstimatorStats::default()
    }
}

/// Has `media` ask for transport-wide feedback, and puts estimator and pacer into `registry`.
///
/// Not the library's `configure_congestion_control`, whose pacer begins at 1 Mbit/s whatever the
/// estimator says, and stays there until the estimate changes. `request_keyframe`: see
/// [`FilteringPacer::new`].
///
/// # Errors
/// The media engine's error, for a feedback or extension that it does not take.
pub(super) fn configure_congestion_control(
    registry: Registry,
    media: &mut MediaEngine,
    request_keyframe: impl FnMut() + Send + Sync + 'static,
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
    let (controller, target) = CongestionController::new();
    let pacer = PacerBuilder::new()
        .with_target_bitrate((INITIAL_BITRATE * PACING_GAIN).as_bps_f64())
        .with_burst_bits(MAX_BURST.as_bits_f64());
    let registry = registry
        .with(
            Slot::CongestionControl,
            CongestionControlBuilder::new(controller).build(),
        )
        .with(
            Slot::Pacer,
            FilteringPacer::new(pacer.build(), request_keyframe),
        )
        .with(Slot::TwccSender, TwccSenderBuilder::new().build());
    Ok((registry, target))
}
