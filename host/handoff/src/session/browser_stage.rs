//! The browser's side of a handoff: what is shown, and what is done to it.

use std::time::Instant;

use authloop_browser::{Follower, Health, PromptAnswer, View};
use authloop_cdp::{Browser, BrowserError, Page};
use authloop_host_metrics::Metrics;
use authloop_media::capture::Viewport;
use authloop_media::encode::{Codec, EncodeError, VideoConfig, VideoPipeline};
use authloop_media::peer::VideoSender;
use authloop_protocol::{
    browser_ui::TabAction,
    input::{InputEvent, Navigation},
    output::OutputMessage,
    quantity::Bitrate,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::keyframes::KeyframeRequests;
use crate::input::{Injector, InjectorClosed};
use crate::uploads::{UploadError, Uploads};
use crate::viewer_state::{self, Shown};

/// The part of the congestion controller's target that video takes; the rest is for the data
/// channel and for retransmissions.
const VIDEO_BITRATE_SHARE: f64 = 0.9;

/// Why an input event could not be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Browser(#[from] BrowserError),
    #[error(transparent)]
    Injector(#[from] InjectorClosed),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("there is no such dialog")]
    NoDialog,
    #[error("there is no page to go to")]
    NoHistory,
    #[error("the page is not shown yet")]
    NotShown,
}

pub(super) struct BrowserStage {
    follower: Follower,
    view: watch::Receiver<View>,
    expected: Vec<String>,
    shown: Shown,
    history: watch::Receiver<bool>,
    _history: Task,
    video: Option<Video>,
    uploads: Uploads,
    metrics: Metrics,
}

struct Video {
    codec: Codec,
    pipeline: VideoPipeline,
    injector: Injector,
    sender: watch::Sender<Option<VideoSender>>,
    /// When the last picture left.
    sent: watch::Receiver<Option<Instant>>,
    requests: KeyframeRequests,
    _forward: Task,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl BrowserStage {
    pub(super) async fn open(
        browser: &Browser,
        expected: Vec<String>,
        metrics: Metrics,
    ) -> Result<Self, BrowserError> {
        let follower = Follower::start(browser, None).await?;
        let (can_go_back, history) = watch::channel(false);
        let task = tokio::spawn(follow_history(follower.view(), can_go_back));
        Ok(Self {
            view: follower.view(),
            follower,
            uploads: Uploads::default(),
            metrics,
            expected,
            shown: Shown::default(),
            history,
            _history: Task(task),
            video: None,
        })
    }

    /// Waits until there is something to tell the viewer.
    pub(super) async fn changed(&mut self) {
        let surface = async {
            match &mut self.video {
                Some(video) => {
                    let mut surface = video.pipeline.surface();
                    surface.mark_unchanged();
                    let _ = surface.changed().await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.view.changed() => if changed.is_err() {
                // The browser is gone, which the caller hears by other means.
                std::future::pending::<()>().await;
            },
            changed = self.history.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = surface => {}
        }
    }

    /// The browser's death, if the view has it.
    pub(super) fn fatal(&self) -> Option<BrowserError> {
        match &self.view.borrow().health {
            Health::Gone(error) if error.is_fatal() => Some(error.clone()),
            _ => None,
        }
    }

    /// The view and its changes.
    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    pub(super) fn page(&self) -> Page {
        self.view.borrow().page.clone()
    }

    pub(super) fn epoch(&self) -> u32 {
        viewer_state::epoch(&self.view.borrow())
    }

    /// Makes video ready in `codec`; nothing is sent before [`BrowserStage::present`].
    pub(super) fn start(&mut self, codec: Codec) -> Result<(), EncodeError> {
        if self
            .video
            .as_ref()
            .is_some_and(|video| video.codec == codec)
        {
            return Ok(());
        }
        let config = VideoConfig {
            codec,
            ..VideoConfig::default()
        };
        let (pipeline, mut frames) = VideoPipeline::start(self.view.clone(), config)?;
        let injector = Injector::start(self.view.clone(), pipeline.surface(), self.metrics.clone());
        let metrics = self.metrics.clone();
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
        self.video = Some(Video {
            codec,
            pipeline,
            injector,
            sender,
            sent,
            requests: KeyframeRequests::default(),
            _forward: Task(forward),
        });
        Ok(())
    }

    /// The browser is the user's from now on: what it would ask unseen, it asks them.
    pub(super) async fn serve(&self) {
        self.follower.begin_user_control().await;
    }

    /// Shows the browser on a confirmed connection, whole.
    pub(super) fn present(&mut self, sender: Option<VideoSender>) {
        self.viewer_state = std::mem::take(&mut self.viewer_state).for_new_connection();
        if let Some(video) = &self.video {
            video.sender.send_replace(sender);
            video.pipeline.request_keyframe();
        }
    }

    /// Shows nothing more, and lets go of everything held.
    pub(super) async fn pause(&mut self) {
        if let Some(video) = &self.video {
            video.sender.send_replace(None);
            let _ = video.injector.release_all().await;
        }
    }

    /// The browser is the agent's again: nothing of ours is left in it.
    pub(super) async fn leave(&mut self) {
        self.pause().await;
        self.follower.end_user_control().await;
    }

    /// The viewer's browser asks for a keyframe.
    pub(super) fn keyframe_requested(&mut self) {
        if let Some(video) = &mut self.video {
            let sent = *video.sent.borrow();
            if video.requests.is_needed(Instant::now(), sent) {
                video.pipeline.request_keyframe();
            }
        }
    }

    /// A whole picture, please.
    pub(super) fn refresh(&self) {
        if let Some(video) = &self.video {
            video.pipeline.request_keyframe();
        }
    }

    pub(super) fn set_bitrate(&self, target: Bitrate) {
        if let Some(video) = &self.video {
            video.pipeline.set_bitrate(target * VIDEO_BITRATE_SHARE);
        }
    }

    /// The messages that bring the viewer up to date.
    pub(super) fn update(&mut self) -> Vec<OutputMessage> {
        let surface = self
            .video
            .as_ref()
            .map(|video| *video.pipeline.surface().borrow())
            .unwrap_or_default();
        let can_go_back = *self.history.borrow_and_update();
        let view = self.view.borrow_and_update();
        let received = |id| self.uploads.received(id);
        self.viewer_state
            .update(&view, can_go_back, &self.expected, surface, received)
    }

    /// Does to the page what the user did; `arrived` is when this host heard of it.
    pub(super) async fn apply(
        &mut self,
        event: InputEvent,
        arrived: Instant,
    ) -> Result<(), ApplyError> {
        match event {
            InputEvent::Viewport {
                width,
                height,
                scale,
                mobile,
            } => {
                let video = self.video.as_ref().ok_or(ApplyError::NotShown)?;
                video.pipeline.resize(Viewport {
                    width: width.into(),
                    height: height.into(),
                    scale: f64::from(scale) / 100.0,
                    mobile,
                });
            }
            InputEvent::Refresh => self.refresh(),
            InputEvent::Dialog { id, accept, text } => {
                let dialog = self.view.borrow().dialog.clone();
                let dialog = dialog.filter(|dialog| dialog.id == id);
                let dialog = dialog.ok_or(ApplyError::NoDialog)?;
                // The answer may open the next dialog, which would hold this call.
                tokio::spawn(async move {
                    if let Err(error) = dialog.page.handle_dialog(accept, text.as_deref()).await {
                        tracing::debug!(%error, "the dialog was not answered");
                    }
                });
            }
            InputEvent::Pick { id, options, value } => {
                let answer = PromptAnswer::Pick { id, options, value };
                self.follower.answer(answer).await;
            }
            InputEvent::Auth { id, user, password } => {
                let credentials = password.map(|password| (user, password));
                self.follower
                    .answer(PromptAnswer::Auth { id, credentials })
                    .await;
            }
            InputEvent::Files { id, files } => {
                if files.is_empty() {
                    self.uploads.stop();
                    let paths = Vec::new();
                    self.follower
                        .answer(PromptAnswer::Files { id, paths })
                        .await;
                } else if self.chooser() == Some(id) {
                    let whole = self.uploads.begin(id, &files).await?;
                    self.give(id, whole).await;
                }
            }
            InputEvent::FileChunk { id, data } => {
                // Chunks are on their way while the page goes: no reason to trouble the user.
                if self.chooser() == Some(id) {
                    let whole = self.uploads.take(id, &data.0).await?;
                    self.give(id, whole).await;
                }
            }
            InputEvent::Tab { id, action } => match action {
                TabAction::Show => self.follower.show_tab(id).await,
                TabAction::Close => self.follower.close_tab(id).await,
            },
            InputEvent::Navigate { action } => {
                let page = self.page();
                tokio::spawn(async move {
                    if let Err(error) = navigate(&page, action).await {
                        tracing::debug!(%error, "the page did not navigate");
                    }
                });
            }
            event => {
                let video = self.video.as_ref().ok_or(ApplyError::NotShown)?;
                video.injector.send(event, arrived).await?;
            }
        }
        Ok(())
    }
}

impl BrowserStage {
    fn chooser(&self) -> Option<u32> {
        let view = self.view.borrow();
        view.chooser.as_ref().map(|chooser| chooser.id)
    }

    /// Gives the page the files that are there as a whole.
    async fn give(&self, id: u32, whole: Option<Vec<String>>) {
        if let Some(paths) = whole {
            self.follower
                .answer(PromptAnswer::Files { id, paths })
                .await;
        }
    }
}

/// Tells whether there is a page to go back to, after each new document.
async fn follow_history(mut view: watch::Receiver<View>, can_go_back: watch::Sender<bool>) {
    let mut seen = None;
    loop {
        let (page, document) = {
            let view = view.borrow_and_update();
            (view.page.clone(), view.document)
        };
        if seen != Some(document) {
            seen = Some(document);
            if let Ok(history) = page.call("Page.getNavigationHistory", json!({})).await {
                let index = history["currentIndex"].as_u64().unwrap_or(0);
                can_go_back.send_if_modified(|held| std::mem::replace(held, index > 0) != *held);
            }
        }
        if view.changed().await.is_err() {
            return;
        }
    }
}

async fn navigate(page: &Page, action: Navigation) -> Result<(), ApplyError> {
    let step = match action {
        Navigation::Reload => {
            page.call("Page.reload", json!({})).await?;
            return Ok(());
        }
        Navigation::Back => -1,
        Navigation::Forward => 1,
    };
    let history = page.call("Page.getNavigationHistory", json!({})).await?;
    let current = history["currentIndex"].as_i64().unwrap_or(0);
    let entry = usize::try_from(current + step)
        .ok()
        .map(|index| &history["entries"][index]["id"]);
    match entry {
        Some(Value::Number(id)) => {
            page.call("Page.navigateToHistoryEntry", json!({ "entryId": id }))
                .await?;
            Ok(())
        }
        _ => Err(ApplyError::NoHistory),
    }
}
