//! The whole way from a page to video.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authloop_browser::View;
use authloop_protocol::quantity::Bitrate;
use tokio::sync::{mpsc, watch};

use super::{
    Codec, EncodeError, EncodedFrame, counters::EncodeCounters, encoder, mailbox::Mailbox,
    worker::Worker,
};
use crate::capture::{Capture, CaptureConfig, CaptureStats, Surface, Viewport};

/// Coded frames that may wait for the receiver.
const MAX_QUEUED_FRAMES: usize = 2;

/// How to make video of a page.
#[derive(Debug, Clone)]
pub struct VideoConfig {
    /// What to capture.
    pub capture: CaptureConfig,
    /// How to code it.
    pub codec: Codec,
    /// The bitrate to begin with.
    pub bitrate: Bitrate,
    /// How often a picture is sent again after a change, to sharpen it.
    pub refinements: u32,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            capture: CaptureConfig::default(),
            codec: Codec::H264,
            bitrate: Bitrate::from_kbps(2_500),
            refinements: 2,
        }
    }
}

/// Running video; dropping it stops the capture and the encoding thread.
#[derive(Debug)]
pub struct VideoPipeline {
    capture: Capture,
    mailbox: Arc<Mailbox>,
    counters: Arc<EncodeCounters>,
    /// Bits a second.
    bitrate_bps: AtomicU64,
}

impl VideoPipeline {
    /// Starts video of the shown page. Frames come only when the page changes, a keyframe is
    /// requested, or a changed picture is refined. Must be called inside a tokio runtime.
    pub fn start(
        view: watch::Receiver<View>,
        config: VideoConfig,
    ) -> Result<(Self, mpsc::Receiver<EncodedFrame>), EncodeError> {
        let (sender, frames) = mpsc::channel(MAX_QUEUED_FRAMES);
        let mailbox = Arc::new(Mailbox::default());
        let counters = Arc::new(EncodeCounters::default());
        let worker = Worker::new(
            Arc::clone(&mailbox),
            sender,
            encoder(config.codec, config.bitrate)?,
            Arc::clone(&counters),
            config.bitrate,
            config.refinements,
        )?;
        std::thread::Builder::new()
            .name("encode".to_owned())
            .spawn(move || worker.run())
            .map_err(|e| EncodeError::Encoder(e.to_string()))?;
        let inbox = Arc::clone(&mailbox);
        let capture = Capture::start(view, config.capture, move |frame| {
            inbox.update(|work| work.frame = Some(frame));
        });
        let pipeline = Self {
            capture,
            mailbox,
            counters,
            bitrate_bps: AtomicU64::new(config.bitrate.as_bps()),
        };
        Ok((pipeline, frames))
    }

    /// Makes the next frame a keyframe, and sends one at once if the page is idle.
    pub fn request_keyframe(&self) {
        self.mailbox.update(|work| work.keyframe = true);
    }

    /// Changes the bitrate from now on; fractions of a bit are dropped.
    pub fn set_bitrate(&self, bitrate: Bitrate) {
        let bps = bitrate.as_bps();
        // An idle page's thread sleeps on.
        if self.bitrate_bps.swap(bps, Ordering::Relaxed) != bps {
            self.mailbox
                .update(|work| work.bitrate = Some(Bitrate::from_bps(bps)));
        }
    }

    /// Lays the page out for another viewer size.
    pub fn resize(&self, viewport: Viewport) {
        self.capture.resize(viewport);
    }

    /// The size of the coordinate space that input is dispatched in.
    pub fn surface(&self) -> watch::Receiver<Surface> {
        self.capture.surface()
    }

    /// What happened so far.
    pub fn stats(&self) -> PipelineStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let micros = |counter: &AtomicU64| Duration::from_micros(load(counter));
        PipelineStats {
            capture: self.capture.stats(),
            pictures: load(&self.counters.pictures),
            frames: load(&self.counters.frames),
            bytes: load(&self.counters.bytes),
            decoding: micros(&self.counters.decoding_micros),
            encoding: micros(&self.counters.encoding_micros),
        }
    }
}

impl Drop for VideoPipeline {
    fn drop(&mut self) {
        self.mailbox.update(|work| work.closed = true);
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineStats {
    /// What the capture saw.
    pub capture: CaptureStats,
    /// Changed pictures decoded.
    pub pictures: u64,
    /// Video frames made, refinements and repeated keyframes included.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time spent on base64, JPEG and colour conversion.
    pub decoding: Duration,
    /// Time spent in the video encoder.
    pub encoding: Duration,
}
