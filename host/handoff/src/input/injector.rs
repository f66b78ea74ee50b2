//! Sends input to the shown page, in order, without waiting more than it must.
//!
//! Keys and text are sent and forgotten. Pointer events are answered when the page has seen them:
//! Chromium first searches the frame under the pointer, so a key sent right behind a click could
//! overtake it; keys therefore wait for clicks, a moment at most. Moves never wait: while some are
//! unanswered, newer ones merge into one, as far as that leaves a finger its momentum.

use std::time::{Duration, Instant};

use authloop_browser::View;
use authloop_cdp::Page;
use authloop_host_metrics::Metrics;
use authloop_media::capture::Surface;
use authloop_protocol::input::InputEvent;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, watch};

use super::{
    core::{Command, InputState},
    merge::{is_flood, keeps_momentum, merge},
    touch_clock::TouchClock,
};

/// Events that may wait; a viewer that fills this is not a human.
const MAX_QUEUED_EVENTS: usize = 256;
/// Unanswered moves before the next ones merge.
const MAX_UNANSWERED_MOVES: usize = 2;
/// Unanswered pointer events before anything waits.
const MAX_UNANSWERED: usize = 32;
/// How long a key waits for a click, which a dialog or a busy page may hold up.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(400);

/// The page's input; dropping it releases everything held.
#[derive(Debug, Clone)]
pub struct Injector {
    events: mpsc::Sender<Arrival>,
}

/// An event and when it came.
#[derive(Debug)]
struct Arrival {
    event: InputEvent,
    at: Instant,
}

/// The browser is gone, so is its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the browser takes no more input")]
pub struct InjectorClosed;

impl Injector {
    /// Starts injecting into the shown page, in the given coordinate space. Must be called inside
    /// a tokio runtime.
    pub fn start(
        view: watch::Receiver<View>,
        surface: watch::Receiver<Surface>,
        metrics: Metrics,
    ) -> Self {
        let (events, queue) = mpsc::channel(MAX_QUEUED_EVENTS);
        let page = view.borrow().page.clone();
        let task = Task {
            view,
            surface,
            page,
            state: InputState::new(),
            touch_clock: TouchClock::default(),
            touch_sent: 0,
            unanswered: FuturesUnordered::new(),
            moves: 0,
            pending: None,
            metrics,
        };
        tokio::spawn(task.run(queue));
        Self { events }
    }

    /// Takes one event, which came `at`; waits only if very many are waiting already.
    pub async fn send(&self, event: InputEvent, at: Instant) -> Result<(), InjectorClosed> {
        let arrival = Arrival { event, at };
        self.events.send(arrival).await.map_err(|_| InjectorClosed)
    }

    /// Lets go of everything held: the viewer has left.
    pub async fn release_all(&self) -> Result<(), InjectorClosed> {
        self.send(InputEvent::ReleaseAll, Instant::now()).await
    }
}

/// Whether an unanswered command was a move.
type WasMove = bool;

struct Task {
    view: watch::Receiver<View>,
    surface: watch::Receiver<Surface>,
    page: Page,
    state: InputState,
    touch_clock: TouchClock,
    /// The viewer's time of the last touch that the page got.
    touch_sent: u32,
    unanswered: FuturesUnordered<BoxFuture<'static, WasMove>>,
    moves: usize,
    /// The flood's latest, not sent yet, and when its first came.
    pending: Option<Arrival>,
    metrics: Metrics,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Arrival>) {
        loop {
            tokio::select! {
                biased;
                changed = self.view.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.on_view().await;
                }
                Some(was_move) = self.unanswered.next() => {
                    self.answered(was_move);
                    if self.moves < MAX_UNANSWERED_MOVES {
                        self.flush().await;
                    }
                }
                event = queue.recv() => match event {
                    Some(arrival) => self.on_event(arrival).await,
                    None => break,
                },
            }
        }
        self.flush().await;
        self.release().await;
    }

    /// On another page nothing is held, and on the old one nothing may stay so.
    async fn on_view(&mut self) {
        let shown = self.view.borrow_and_update().page.clone();
        if shown != self.page {
            self.pending = None;
            self.release().await;
            self.page = shown;
            self.unanswered.clear();
            self.moves = 0;
        }
    }

    async fn on_event(&mut self, new: Arrival) {
        if let Some(pending) = self.pending.take() {
            let merged = merge(&pending.event, &new.event);
            match merged.filter(|event| keeps_momentum(event, self.touch_sent)) {
                Some(event) => {
                    let at = pending.at;
                    self.pending = Some(Arrival { event, at });
                    return;
                }
                // Anything else comes after the move, so that a click hits where it should.
                None => self.emit(&pending).await,
            }
        }
        if is_flood(&new.event) && self.moves >= MAX_UNANSWERED_MOVES {
            self.pending = Some(new);
        } else {
            self.emit(&new).await;
        }
    }

    async fn flush(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.emit(&pending).await;
        }
    }

    async fn release(&mut self) {
        for command in self.state.release_all() {
            let _page_may_be_gone = self.page.post(command.method, command.params).await;
        }
    }

    async fn emit(&mut self, arrival: &Arrival) {
        let event = &arrival.event;
        let surface = *self.surface.borrow();
        let is_move = is_flood(event);
        let touched_at = match event {
            InputEvent::Touch { phase, at, .. } => {
                self.touch_sent = *at;
                self.touch_clock.at(*phase, *at, now())
            }
            _ => None,
        };
        for mut command in self.state.apply(event, surface) {
            if let Some(time) = touched_at {
                command.params["timestamp"] = time.into();
            }
            if is_pointing(&command) {
                self.send_pointing(command, is_move).await;
            } else {
                self.settle(0).await;
                let _page_may_be_gone = self.page.post(command.method, command.params).await;
            }
        }
        self.metrics.time_input(event, arrival.at);
    }

    /// Sends a pointer command at once; its answer is collected later.
    async fn send_pointing(&mut self, command: Command, is_move: bool) {
        self.settle(MAX_UNANSWERED).await;
        // `begin` has queued the command when it returns: the order is kept.
        match self.page.begin(command.method, command.params).await {
            Ok(answer) => {
                self.moves += usize::from(is_move);
                self.unanswered.push(Box::pin(async move {
                    let _refused = answer.await;
                    is_move
                }));
            }
            Err(error) => tracing::debug!(%error, "input was not sent"),
        }
    }

    /// Waits, for a moment, until at most `left` pointer events are unanswered.
    async fn settle(&mut self, left: usize) {
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        while self.unanswered.len() > left {
            match tokio::time::timeout_at(deadline, self.unanswered.next()).await {
                Ok(Some(was_move)) => self.answered(was_move),
                Ok(None) => return,
                Err(_) => {
                    // Whoever holds the page up now will not be waited for again.
                    self.unanswered.clear();
                    self.moves = 0;
                }
            }
        }
    }

    fn answered(&mut self, was_move: WasMove) {
        self.moves -= usize::from(was_move).min(self.moves);
    }
}

/// CDP's `Input.TimeSinceEpoch`, in seconds.
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn is_pointing(command: &Command) -> bool {
    matches!(
        command.method,
        "Input.dispatchMouseEvent" | "Input.dispatchTouchEvent"
    )
}
