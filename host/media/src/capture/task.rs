//! The task behind [`Capture`](super::Capture).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_browser::{Health, View};
use authloop_cdp::{BrowserError, EventStream, FrameId, Page};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    CaptureConfig, CaptureCounters, caret,
    frame::{CapturedFrame, RepeatDetector, capture_time},
    viewport::{Surface, Viewport},
};

/// Time after which a page that has drawn nothing is asked for a screenshot.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_millis(600);
/// Time after a start during which Chromium may send a frame of the wrong shape, because the surface
/// changes size.
const RESIZE_TIMEOUT: Duration = Duration::from_secs(1);
/// Events that may wait; Chromium has at most a few unacknowledged frames under way.
const MAX_QUEUED_EVENTS: usize = 8;

/// The events that a screencast subscribes to.
const SUBSCRIBED_EVENTS: [&str; 2] = ["Page.screencastFrame", "Page.frameNavigated"];

/// Largest difference of a frame's proportions from the surface's, as a share.
const MAX_SHAPE_ERROR: f64 = 0.02;

pub(super) type FrameSink = Box<dyn FnMut(CapturedFrame) + Send>;

pub(super) struct CaptureTask {
    view: watch::Receiver<View>,
    viewports: watch::Receiver<Option<Viewport>>,
    surfaces: watch::Sender<Surface>,
    config: CaptureConfig,
    counters: Arc<CaptureCounters>,
    sink: FrameSink,
    repeats: RepeatDetector,
    /// Capture time of the last frame, and when it arrived.
    last_captured: Option<(Duration, Instant)>,
}

/// One screencast on one page.
struct Screencast {
    page: Page,
    events: EventStream,
    fitted: Option<Viewport>,
    started: Instant,
    /// When to ask for a screenshot instead, if no frame has come.
    first_frame_due: Option<Instant>,
    next_ack: Instant,
    waiting_ack: Option<(Instant, Value)>,
}

/// Why a screencast ended.
enum ScreencastEnd {
    Stopped,
    Restart,
}

impl CaptureTask {
    pub(super) fn new(
        view: watch::Receiver<View>,
        viewports: watch::Receiver<Option<Viewport>>,
        surfaces: watch::Sender<Surface>,
        config: CaptureConfig,
        counters: Arc<CaptureCounters>,
        sink: FrameSink,
    ) -> Self {
        Self {
            view,
            viewports,
            surfaces,
            config,
            counters,
            sink,
            repeats: RepeatDetector::default(),
            last_captured: None,
        }
    }

    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            if !self.wait_until_usable(&mut stopped).await {
                return;
            }
            let page = self.view.borrow().page.clone();
            let viewport = *self.viewports.borrow_and_update();
            let cast = match self.start_screencast(page.clone(), viewport).await {
                Ok(cast) => cast,
                Err(error) => {
                    tracing::debug!(%error, "the page cannot be captured now");
                    // The view tells when the page is another or alive again.
                    tokio::select! {
                        _ = stopped.wait_for(|stop| *stop) => return,
                        changed = self.view.changed() => match changed {
                            Ok(()) => continue,
                            Err(_) => return,
                        },
                    }
                }
            };
            let end = self.run_screencast(cast, &mut stopped).await;
            let _page_may_be_gone = page.notify("Page.stopScreencast", json!({}));
            if matches!(end, ScreencastEnd::Stopped) {
                let _gone = page.notify("Emulation.clearDeviceMetricsOverride", json!({}));
                let touch = json!({ "enabled": false });
                let _gone = page.notify("Emulation.setTouchEmulationEnabled", touch);
                return;
            }
        }
    }

    async fn wait_until_usable(&mut self, stopped: &mut watch::Receiver<bool>) -> bool {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => false,
            view = self.view.wait_for(|view| view.health == Health::Alive) => view.is_ok(),
        }
    }

    async fn start_screencast(
        &mut self,
        page: Page,
        viewport: Option<Viewport>,
    ) -> Result<Screencast, BrowserError> {
        let events = page.subscribe(&SUBSCRIBED_EVENTS, MAX_QUEUED_EVENTS);
        let fitted = viewport.map(|viewport| viewport.fitted(self.config.max_pixels));
        let mut params = json!({ "format": "jpeg", "quality": self.config.quality });
        if let Some(fitted) = &fitted {
            let metrics = fitted.metrics();
            page.post("Emulation.setDeviceMetricsOverride", metrics)
                .await?;
            page.post("Emulation.setVisibleSize", fitted.visible_size())
                .await?;
            let touch = json!({ "enabled": fitted.mobile, "maxTouchPoints": 5 });
            page.post("Emulation.setTouchEmulationEnabled", touch)
                .await?;
            let (width, height) = fitted.pixels();
            params["maxWidth"] = width.into();
            params["maxHeight"] = height.into();
            self.surfaces.send_replace(fitted.surface());
        }
        stop_caret_of(&page);
        self.repeats.forget();
        page.post("Page.startScreencast", params).await?;
        let now = Instant::now();
        Ok(Screencast {
            page,
            events,
            fitted,
            started: now,
            first_frame_due: Some(now + FIRST_FRAME_TIMEOUT),
            next_ack: now,
            waiting_ack: None,
        })
    }

    async fn run_screencast(
        &mut self,
        mut cast: Screencast,
        stopped: &mut watch::Receiver<bool>,
    ) -> ScreencastEnd {
        let (screenshots, mut shots) = mpsc::channel::<Option<String>>(1);
        loop {
            let ack_due = cast.waiting_ack.as_ref().map(|(at, _)| *at);
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return ScreencastEnd::Stopped,
                changed = self.viewports.changed() => {
                    return match changed {
                        Ok(()) => ScreencastEnd::Restart,
                        Err(_) => ScreencastEnd::Stopped,
                    };
                }
                changed = self.view.changed() => {
                    if changed.is_err() {
                        return ScreencastEnd::Stopped;
                    }
                    let view = self.view.borrow_and_update();
                    if view.page != cast.page || view.health != Health::Alive {
                        return ScreencastEnd::Restart;
                    }
                }
                event = cast.events.recv() => match event {
                    Some(event) if &*event.method == "Page.screencastFrame" => {
                        self.on_frame(&mut cast, &event.params);
                    }
                    Some(event) => on_navigated(&cast.page, &event.params["frame"]),
                    None => return ScreencastEnd::Stopped,
                },
                () = sleep_until_due(ack_due) => {
                    if let Some((_, params)) = cast.waiting_ack.take() {
                        cast.ack(params);
                    }
                }
                () = sleep_until_due(cast.first_frame_due) => {
                    cast.first_frame_due = None;
                    spawn_screenshot(&cast.page, self.config.quality, screenshots.clone());
                }
                Some(shot) = shots.recv() => match shot {
                    Some(data) => {
                        let captured = self.now_on_browser_clock();
                        self.deliver(CapturedFrame::new(data, captured));
                    }
                    None => cast.first_frame_due = Some(Instant::now() + FIRST_FRAME_TIMEOUT),
                },
            }
        }
    }

    fn on_frame(&mut self, cast: &mut Screencast, params: &Value) {
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        cast.acknowledge(params, self.min_frame_interval());
        let metadata = &params["metadata"];
        self.update_surface(cast.fitted.as_ref(), metadata);
        let Some(data) = params["data"].as_str() else {
            return;
        };
        if self.repeats.is_repeat(data) {
            self.counters.unchanged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let now = Instant::now();
        let captured = capture_time(metadata).unwrap_or_else(|| self.now_on_browser_clock());
        let frame = CapturedFrame::new(data.to_owned(), captured);
        if now < cast.started + RESIZE_TIMEOUT
            && !has_shape_of(&frame, cast.fitted.as_ref(), metadata)
        {
            // It may be the last one: a screenshot comes if nothing better does.
            self.repeats.forget();
            return;
        }
        cast.first_frame_due = None;
        self.last_captured = Some((captured, now));
        self.deliver(frame);
    }

    fn deliver(&mut self, frame: CapturedFrame) {
        (self.sink)(frame);
    }

    /// Publishes the surface's size. Input is dispatched in the picture's space before the page's own
    /// zoom, which is below 1 for a page without a mobile layout on a phone, and above while it is
    /// pinched.
    fn update_surface(&self, fitted: Option<&Viewport>, metadata: &Value) {
        let number = |name: &str| metadata[name].as_f64().filter(|n| *n > 0.0);
        let zoom = number("pageScaleFactor").unwrap_or(1.0);
        let whole = fitted.map(Viewport::surface).unwrap_or(Surface {
            width: number("deviceWidth").unwrap_or_default(),
            height: number("deviceHeight").unwrap_or_default(),
        });
        let surface = Surface {
            width: whole.width / zoom,
            height: whole.height / zoom,
        };
        self.surfaces.send_if_modified(|current| {
            let changed = *current != surface;
            *current = surface;
            changed
        });
    }

    /// The shortest time between two frames.
    fn min_frame_interval(&self) -> Duration {
        Duration::from_secs(1) / self.config.max_fps.max(1)
    }

    fn now_on_browser_clock(&self) -> Duration {
        self.last_captured
            .map_or(Duration::ZERO, |(captured, at)| captured + at.elapsed())
    }
}

impl Screencast {
    /// Acknowledges a frame: at once when the rate allows it, else when it will.
    fn acknowledge(&mut self, params: &Value, interval: Duration) {
        let ack = json!({ "sessionId": params["sessionId"] });
        let now = Instant::now();
        if let Some((_, earlier)) = self.waiting_ack.take() {
            self.ack(earlier);
        }
        if now >= self.next_ack {
            self.next_ack = now + interval;
            self.ack(ack);
        } else {
            self.waiting_ack = Some((self.next_ack, ack));
            self.next_ack += interval;
        }
    }

    fn ack(&self, params: Value) {
        // An acknowledgement lost to a full queue would stop the screencast for good; the queue is
        // far larger than what a viewer can fill, and losing the browser ends the cast anyway.
        if let Err(error) = self.page.notify("Page.screencastFrameAck", params) {
            tracing::debug!(%error, "a frame was not acknowledged");
        }
    }
}

async fn sleep_until_due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether a frame has the surface's proportions, within [`MAX_SHAPE_ERROR`].
fn has_shape_of(frame: &CapturedFrame, fitted: Option<&Viewport>, metadata: &Value) -> bool {
    let wanted = match fitted {
        Some(viewport) => {
            let (width, height) = viewport.pixels();
            (f64::from(width), f64::from(height))
        }
        None => (
            metadata["deviceWidth"].as_f64().unwrap_or(0.0),
            metadata["deviceHeight"].as_f64().unwrap_or(0.0),
        ),
    };
    let Some((width, height)) = frame.size() else {
        return true;
    };
    let (a, b) = (f64::from(width) * wanted.1, f64::from(height) * wanted.0);
    (a - b).abs() <= MAX_SHAPE_ERROR * a.max(b)
}

fn on_navigated(page: &Page, frame: &Value) {
    if frame["parentId"].is_null() {
        stop_caret_of(page);
    } else if let Some(id) = frame["id"].as_str() {
        stop_caret_in(page, FrameId::from(id));
    }
}

fn stop_caret_of(page: &Page) {
    stop_caret_in(page, FrameId::from(page.target().as_str()));
}

/// Stops a frame's caret, in a task of its own: a page held by a dialog answers late.
fn stop_caret_in(page: &Page, frame: FrameId) {
    let page = page.clone();
    tokio::spawn(async move {
        if let Err(error) = caret::stop_blinking(&page, &frame).await {
            tracing::debug!(%error, "the caret blinks on");
        }
    });
}

fn spawn_screenshot(page: &Page, quality: u8, shots: mpsc::Sender<Option<String>>) {
    let page = page.clone();
    tokio::spawn(async move {
        let params = json!({ "format": "jpeg", "quality": quality, "optimizeForSpeed": true });
        let shot = page.call("Page.captureScreenshot", params).await;
        let data = shot
            .ok()
            .and_then(|shot| shot["data"].as_str().map(str::to_owned));
        let _cast_ended = shots.send(data).await;
    });
}
