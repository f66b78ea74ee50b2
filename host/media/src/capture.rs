//! Pictures of the page, only when it changes.
//!
//! One task follows the shown page ([`View`]), keeps its size as the viewer wants it, and hands each
//! *changed* picture to a sink. Frames are acknowledged on arrival, so Chromium is never held up;
//! above the frame-rate limit the acknowledgement waits, so that Chromium renders less.

mod caret;
mod frame;
mod task;
mod viewport;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use authloop_browser::View;
use tokio::{sync::watch, task::JoinHandle};

pub use frame::CapturedFrame;
pub use viewport::{Surface, Viewport};

/// How to capture.
#[derive(Debug, Clone)]
pub struct CaptureConfig {
    /// The viewer's size; `None` leaves the browser's own.
    pub viewport: Option<Viewport>,
    /// JPEG quality, 1..=100.
    pub quality: u8,
    /// Pictures a second, at most.
    pub max_fps: u32,
    /// Pixels in a picture, at most; the scale is lowered to keep it.
    pub max_pixels: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            viewport: None,
            quality: 85,
            max_fps: 30,
            // 1080p, and three times a phone's 780x1688 less a little.
            max_pixels: 1920 * 1088,
        }
    }
}

/// A running capture; dropping it stops the screencast and gives the page its own size back.
#[derive(Debug)]
pub struct Capture {
    viewport: watch::Sender<Option<Viewport>>,
    surface: watch::Receiver<Surface>,
    counters: Arc<CaptureCounters>,
    stop: watch::Sender<bool>,
    _task: JoinHandle<()>,
}

/// Shared with the task.
#[derive(Debug, Default)]
struct CaptureCounters {
    received: AtomicU64,
    unchanged: AtomicU64,
}

/// What a capture has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureStats {
    /// Frames Chromium sent.
    pub received: u64,
    /// Those of them that equalled the one before, and were dropped.
    pub unchanged: u64,
}

impl Capture {
    /// Starts capturing the shown page. `sink` is called for each changed picture, and must not
    /// block.
    pub fn start(
        view: watch::Receiver<View>,
        config: CaptureConfig,
        sink: impl FnMut(CapturedFrame) + Send + 'static,
    ) -> Self {
        let (viewport, viewports) = watch::channel(config.viewport);
        let (surfaces, surface) = watch::channel(Surface::of(config.viewport, config.max_pixels));
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(CaptureCounters::default());
        let task = task::CaptureTask::new(
            view,
            viewports,
            surfaces,
            config,
            Arc::clone(&counters),
            Box::new(sink),
        );
        Self {
            viewport,
            surface,
            counters,
            stop,
            _task: tokio::spawn(task.run(stopped)),
        }
    }

    /// Lays the page out for another viewer size.
    pub fn resize(&self, viewport: Viewport) {
        self.viewport.send_if_modified(|current| {
            let changed = *current != Some(viewport);
            *current = Some(viewport);
            changed
        });
    }

    /// The size of the coordinate space that input is dispatched in.
    pub fn surface(&self) -> watch::Receiver<Surface> {
        self.surface.clone()
    }

    /// What was captured so far.
    pub fn stats(&self) -> CaptureStats {
        CaptureStats {
            received: self.counters.received.load(Ordering::Relaxed),
            unchanged: self.counters.unchanged.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
