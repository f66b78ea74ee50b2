//! The picture on its way to the viewer, and the input that refers to it.

use std::time::Instant;

use authloop_browser::View;
use authloop_host_metrics::Metrics;
use authloop_media::{
    capture::{Surface, Viewport},
    encode::{Codec, EncodeError, VideoConfig, VideoPipeline},
    peer::VideoSender,
};
use authloop_protocol::{input::InputEvent, quantity::Bitrate};
use tokio::sync::watch;

use super::{AbortOnDrop, keyframes::KeyframeRequests};
use crate::input::{Injector, InjectorClosed};

/// The part of the congestion controller's target that video takes; the rest is for the data
/// channel and for retransmissions.
const VIDEO_BITRATE_SHARE: f64 = 0.9;

pub(super) struct Video {
    codec: Codec,
    pipeline: VideoPipeline,
    injector: Injector,
    sender: watch::Sender<Option<VideoSender>>,
    /// When the last picture left.
    sent: watch::Receiver<Option<Instant>>,
    requests: KeyframeRequests,
    _forward: AbortOnDrop,
}

impl Video {
    /// Makes video ready in `codec`; nothing is sent before [`Video::send_to`].
    pub(super) fn start(
        view: watch::Receiver<View>,
        codec: Codec,
        metrics: Metrics,
    ) -> Result<Self, EncodeError> {
        let config = VideoConfig {
            codec,
            ..VideoConfig::default()
        };
        let (pipeline, mut frames) = VideoPipeline::start(view.clone(), config)?;
        let injector = Injector::start(view, pipeline.surface(), metrics.clone());
        let (sender, current) = watch::channel::<Option<VideoSender>>(None);
        let (sent_at, sent) = watch::channel(None);
        let forward = tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                let Some(target) = current.borrow().clone() else {
                    continue;
                };
                match target.send(&frame).await {
                    Ok(_) => {
                        metrics.count_frame(frame.keyframe, frame.data.len(), frame.received);
                        sent_at.send_replace(Some(Instant::now()));
                    }
                    Err(error) => tracing::debug!(%error, "a picture was not sent"),
                }
            }
        });
        Ok(Self {
            codec,
            pipeline,
            injector,
            sender,
            sent,
            requests: KeyframeRequests::default(),
            _forward: AbortOnDrop(forward),
        })
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Sends a whole picture, and the following ones, there.
    pub(super) fn send_to(&self, sender: Option<VideoSender>) {
        self.sender.send_replace(sender);
        self.request_keyframe();
    }

    /// Sends nothing more, and lets go of everything held.
    pub(super) async fn pause(&self) {
        self.sender.send_replace(None);
        let _ = self.injector.release_all().await;
    }

    /// The viewer's browser asks for a keyframe.
    pub(super) fn keyframe_requested(&mut self) {
        let sent = *self.sent.borrow();
        if self.requests.is_needed(Instant::now(), sent) {
            self.request_keyframe();
        }
    }

    /// A whole picture, please.
    pub(super) fn request_keyframe(&self) {
        self.pipeline.request_keyframe();
    }

    pub(super) fn set_bitrate(&self, target: Bitrate) {
        self.pipeline.set_bitrate(target * VIDEO_BITRATE_SHARE);
    }

    pub(super) fn surface(&self) -> Surface {
        *self.pipeline.surface().borrow()
    }

    /// Waits until the surface is another.
    pub(super) async fn surface_changed(&self) {
        let mut surface = self.pipeline.surface();
        surface.mark_unchanged();
        let _ = surface.changed().await;
    }

    pub(super) fn resize(&self, viewport: Viewport) {
        self.pipeline.resize(viewport);
    }

    /// Does an input event to the page; `arrived` is when this host heard of it.
    pub(super) async fn inject(
        &self,
        event: InputEvent,
        arrived: Instant,
    ) -> Result<(), InjectorClosed> {
        self.injector.send(event, arrived).await
    }
}
