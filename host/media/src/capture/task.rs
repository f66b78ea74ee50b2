//! The task behind [`Capture`](super::Capture).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authloop_browser::{Health, View};
use authloop_cdp::{BrowserError, EventStream, FrameId, Page};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::frame::{CapturedFrame, Repeats, captured_at};
use super::viewport::{Surface, Viewport};
use super::{CaptureConfig, Counters, caret};

/// A page that has drawn nothing by then is asked for a screenshot.
const FIRST_FRAME: Duration = Duration::from_millis(600);
/// While the surface changes size, Chromium may send a frame of the wrong shape.
const SETTLING: Duration = Duration::from_secs(1);
/// Chromium has at most a few unacknowledged frames under way.
const FRAMES: usize = 8;

const EVENTS: [&str; 2] = ["Page.screencastFrame", "Page.frameNavigated"];

pub(super) type Sink = Box<dyn FnMut(CapturedFrame) + Send>;

pub(super) struct Task {
    view: watch::Receiver<View>,
    viewports: watch::Receiver<Option<Viewport>>,
    surfaces: watch::Sender<Surface>,
    config: CaptureConfig,
    counters: Arc<Counters>,
    sink: Sink,
    repeats: Repeats,
    last_captured: Option<(Duration, Instant)>,
}

/// One screencast on one page.
struct Cast {
    page: Page,
    events: EventStream,
    fitted: Option<Viewport>,
    started: Instant,
    /// When to ask for a screenshot instead.
    first_frame_due: Option<Instant>,
    next_ack: Instant,
    waiting_ack: Option<(Instant, Value)>,
}

/// Why a screencast ended.
enum End {
    Stopped,
    Restart,
}

impl Task {
    pub(super) fn new(
        view: watch::Receiver<View>,
        viewports: watch::Receiver<Option<Viewport>>,
        surfaces: watch::Sender<Surface>,
        config: CaptureConfig,
        counters: Arc<Counters>,
        sink: Sink,
    ) -> Self {
        Self {
            view,
            viewports,
            surfaces,
            config,
            counters,
            sink,
            repeats: Repeats::default(),
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
            let cast = match self.start(page.clone(), viewport).await {
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
            let end = self.cast(cast, &mut stopped).await;
            let _page_may_be_gone = page.notify("Page.stopScreencast", json!({}));
            if matches!(end, End::Stopped) {
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

    async fn start(
        &mut self,
        page: Page,
        viewport: Option<Viewport>,
    ) -> Result<Cast, BrowserError> {
        let events = page.subscribe(&EVENTS, FRAMES);
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
        spawn_caret(&page);
        self.repeats.forget();
        page.post("Page.startScreencast", params).await?;
        let now = Instant::now();
        Ok(Cast {
            page,
            events,
            fitted,
            started: now,
            first_frame_due: Some(now + FIRST_FRAME),
            next_ack: now,
            waiting_ack: None,
        })
    }

    async fn cast(&mut self, mut cast: Cast, stopped: &mut watch::Receiver<bool>) -> End {
        let (screenshots, mut shots) = mpsc::channel::<Option<String>>(1);
        loop {
            let ack_due = cast.waiting_ack.as_ref().map(|(at, _)| *at);
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return End::Stopped,
                changed = self.viewports.changed() => {
                    return if changed.is_ok() { End::Restart } else { End::Stopped };
                }
                changed = self.view.changed() => {
                    if changed.is_err() {
                        return End::Stopped;
                    }
                    let view = self.view.borrow_and_update();
                    if view.page != cast.page || view.health != Health::Alive {
                        return End::Restart;
                    }
                }
                event = cast.events.recv() => match event {
                    Some(event) if &*event.method == "Page.screencastFrame" => {
                        self.on_frame(&mut cast, &event.params);
                    }
                    Some(event) => on_navigated(&cast.page, &event.params["frame"]),
                    None => return End::Stopped,
                },
                () = maybe(ack_due) => {
                    if let Some((_, params)) = cast.waiting_ack.take() {
                        cast.ack(params);
                    }
                }
                () = maybe(cast.first_frame_due) => {
                    cast.first_frame_due = None;
                    screenshot(&cast.page, self.config.quality, screenshots.clone());
                }
                Some(shot) = shots.recv() => match shot {
                    Some(data) => {
                        let captured = self.now_on_browser_clock();
                        self.deliver(CapturedFrame::new(data, captured));
                    }
                    None => cast.first_frame_due = Some(Instant::now() + FIRST_FRAME),
                },
            }
        }
    }

    fn on_frame(&mut self, cast: &mut Cast, params: &Value) {
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        cast.acknowledge(params, self.interval());
        let metadata = &params["metadata"];
        self.learn_surface(cast.fitted.as_ref(), metadata);
        let Some(data) = params["data"].as_str() else {
            return;
        };
        if self.repeats.is_repeat(data) {
            self.counters.unchanged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let now = Instant::now();
        let captured = captured_at(metadata).unwrap_or_else(|| self.now_on_browser_clock());
        let frame = CapturedFrame::new(data.to_owned(), captured);
        if now < cast.started + SETTLING && !has_shape_of(&frame, cast.fitted.as_ref(), metadata) {
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

    /// Input is dispatched in the picture's space before the page's own zoom, which is below 1 for
    /// a page without a mobile layout on a phone, and above while it is pinched.
    fn learn_surface(&self, fitted: Option<&Viewport>, metadata: &Value) {
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

    /// The least time between two frames.
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.config.max_fps.max(1)
    }

    fn now_on_browser_clock(&self) -> Duration {
        self.last_captured
            .map_or(Duration::ZERO, |(captured, at)| captured + at.elapsed())
    }
}

impl Cast {
    /// At once when the rate allows it, else when it will.
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

async fn maybe(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Within one part in fifty of the surface's proportions.
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
    (a - b).abs() <= 0.02 * a.max(b)
}

fn on_navigated(page: &Page, frame: &Value) {
    if frame["parentId"].is_null() {
        spawn_caret(page);
    } else if let Some(id) = frame["id"].as_str() {
        spawn_caret_in(page, FrameId::from(id));
    }
}

fn spawn_caret(page: &Page) {
    spawn_caret_in(page, FrameId::from(page.target().as_str()));
}

/// In a task of its own: a page held by a dialog answers late.
fn spawn_caret_in(page: &Page, frame: FrameId) {
    let page = page.clone();
    tokio::spawn(async move {
        if let Err(error) = caret::hold_still(&page, &frame).await {
            tracing::debug!(%error, "the caret blinks on");
        }
    });
}

fn screenshot(page: &Page, quality: u8, shots: mpsc::Sender<Option<String>>) {
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
