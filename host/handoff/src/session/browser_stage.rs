//! The browser's side of a handoff: what is shown, and what is done to it.

mod keyframes;
mod navigation;
mod prompts;
mod typed;
mod uploads;
mod video;

use std::time::Instant;

use authloop_browser::{Follower, Health, PromptAnswer, View};
use authloop_cdp::{Browser, BrowserError, Page, TargetId};
use authloop_host_metrics::Metrics;
use authloop_media::{
    capture::Viewport,
    encode::{Codec, EncodeError},
    peer::VideoSender,
};
use authloop_protocol::{
    browser_ui::FileInfo, input::InputEvent, output::OutputMessage, quantity::Bitrate,
};
use authloop_rooms::{Bundle, TypedSecrets};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    HandoffConfig,
    input::InjectorClosed,
    viewer_state::{self, ViewerState},
};
use navigation::{History, start_navigation};
use typed::TypedLog;
use uploads::{UploadError, Uploads};
use video::Video;

/// [`View::document`] before the first navigation.
const FIRST_DOCUMENT: u64 = 1;

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
    browser: Browser,
    follower: Follower,
    view: watch::Receiver<View>,
    expected_origins: Vec<String>,
    viewer_state: ViewerState,
    history: History,
    video: Option<Video>,
    uploads: Uploads,
    /// In a private room, what was typed into secret fields.
    typed: Option<TypedLog>,
    metrics: Metrics,
}

/// A task that ends with its owner.
pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl BrowserStage {
    /// Follows what `browser` shows, from its page `first` if that is given.
    pub(super) async fn open(
        browser: Browser,
        first: Option<&TargetId>,
        config: &HandoffConfig,
    ) -> Result<Self, BrowserError> {
        let follower = Follower::start(&browser, first).await?;
        Ok(Self {
            browser,
            view: follower.view(),
            history: History::follow(follower.view()),
            follower,
            expected_origins: config.expected_origins.clone(),
            viewer_state: ViewerState::default(),
            video: None,
            uploads: Uploads::default(),
            typed: None,
            metrics: config.metrics.clone(),
        })
    }

    /// Notes from now on what is typed into secret fields: the browser is a private room's.
    pub(super) fn note_typed(&mut self) {
        self.typed = Some(TypedLog::new());
    }

    /// Gives what was typed into secret fields.
    pub(super) fn take_typed(&mut self) -> TypedSecrets {
        self.typed.take().map(TypedLog::finish).unwrap_or_default()
    }

    /// Waits until there is something to tell the viewer.
    pub(super) async fn changed(&mut self) {
        let surface = async {
            match &self.video {
                Some(video) => video.surface_changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.view.changed() => if changed.is_err() {
                // The browser is gone, which the caller hears by other means.
                std::future::pending::<()>().await;
            },
            () = self.history.changed() => {}
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

    pub(super) fn browser(&self) -> Browser {
        self.browser.clone()
    }

    /// The view and its changes.
    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// The page that is shown.
    pub(super) fn page(&self) -> Page {
        self.view.borrow().page.clone()
    }

    /// The pages of the handoff's other windows.
    pub(super) async fn other_pages(&self) -> Vec<Page> {
        let mut pages = Vec::new();
        let shown = self.page();
        for info in self.browser.pages().await.unwrap_or_default() {
            // One that closes in this moment has nothing to tell.
            if info.id != *shown.target()
                && let Ok(page) = self.browser.attach(&info.id).await
            {
                pages.push(page);
            }
        }
        pages
    }

    pub(super) fn epoch(&self) -> u32 {
        viewer_state::epoch(&self.view.borrow())
    }

    /// Makes video ready in `codec`; nothing is sent before [`BrowserStage::present`].
    pub(super) fn start_video(&mut self, codec: Codec) -> Result<(), EncodeError> {
        if self.video.as_ref().map(Video::codec) != Some(codec) {
            let video = Video::start(self.view.clone(), codec, self.metrics.clone())?;
            self.video = Some(video);
        }
        Ok(())
    }

    /// The browser is the user's from now on: what it would ask unseen, it asks them.
    pub(super) async fn begin_user_control(&self) {
        self.follower.begin_user_control().await;
    }

    /// Shows the browser on a confirmed connection, whole.
    pub(super) fn present(&mut self, sender: Option<VideoSender>) {
        self.viewer_state = std::mem::take(&mut self.viewer_state).for_new_connection();
        if let Some(video) = &self.video {
            video.send_to(sender);
        }
    }

    /// Shows nothing more, and lets go of everything held.
    pub(super) async fn pause(&mut self) {
        if let Some(video) = &self.video {
            video.pause().await;
        }
    }

    /// The browser is the agent's again: nothing of ours is left in it.
    pub(super) async fn end_user_control(&mut self) {
        self.pause().await;
        self.follower.end_user_control().await;
    }

    /// The viewer's browser asks for a keyframe.
    pub(super) fn keyframe_requested(&mut self) {
        if let Some(video) = &mut self.video {
            video.keyframe_requested();
        }
    }

    /// A whole picture, please.
    pub(super) fn request_keyframe(&self) {
        if let Some(video) = &self.video {
            video.request_keyframe();
        }
    }

    pub(super) fn set_bitrate(&self, target: Bitrate) {
        if let Some(video) = &self.video {
            video.set_bitrate(target);
        }
    }

    /// The messages that bring the viewer up to date.
    pub(super) fn update(&mut self) -> Vec<OutputMessage> {
        let surface = self.video.as_ref().map(Video::surface).unwrap_or_default();
        let can_go_back = self.history.can_go_back();
        let view = self.view.borrow_and_update();
        let received = |id| self.uploads.received(id);
        // A room's first document is empty and the host's own: no site that was not expected.
        let is_empty_room = self.typed.is_some() && view.document == FIRST_DOCUMENT;
        let expected: &[String] = if is_empty_room {
            &[]
        } else {
            &self.expected_origins
        };
        self.viewer_state
            .update(&view, can_go_back, expected, surface, received)
    }

    /// The number of cookies, and the storage state if it is wanted; of `origins`, or of those shown.
    pub(super) async fn collect(
        &self,
        storage_state: bool,
        origins: Option<&[String]>,
    ) -> (usize, Option<Bundle>) {
        let page = self.page();
        let collected = if storage_state {
            let state = Bundle::collect(&self.browser, &page, origins).await;
            state.map(|state| (state.cookie_count(), Some(state)))
        } else {
            let count = Bundle::count_cookies(&page, origins).await;
            count.map(|count| (count, None))
        };
        collected.unwrap_or_else(|error| {
            // The user has signed in all the same; what cannot be counted is not claimed.
            tracing::warn!(%error, "the cookies could not be read");
            (0, None)
        })
    }

    /// Does to the page what the user did; `arrived` is when this host heard of it.
    pub(super) async fn apply(
        &mut self,
        event: InputEvent,
        arrived: Instant,
    ) -> Result<(), ApplyError> {
        if let Some(typed) = &mut self.typed {
            typed.note(&event, &self.view.borrow());
        }
        match event {
            InputEvent::Viewport {
                width,
                height,
                scale,
                mobile,
            } => self.video()?.resize(Viewport {
                width: width.into(),
                height: height.into(),
                scale: f64::from(scale) / 100.0,
                mobile,
            }),
            InputEvent::Refresh => self.request_keyframe(),
            InputEvent::Dialog { id, accept, text } => self.answer_dialog(id, accept, text)?,
            InputEvent::Pick { id, options, value } => {
                let answer = PromptAnswer::Pick { id, options, value };
                self.follower.answer(answer).await;
            }
            InputEvent::Auth { id, user, password } => {
                prompts::answer_challenge(&self.follower, id, user, password).await;
            }
            InputEvent::Files { id, files } => self.choose_files(id, &files).await?,
            InputEvent::FileChunk { id, data } => self.take_chunk(id, &data.0).await?,
            InputEvent::Tab { id, action } => {
                prompts::act_on_tab(&self.follower, id, action).await;
            }
            InputEvent::Navigate { action } => start_navigation(self.page(), action),
            event => {
                let types = event.is_typed();
                self.video()?.inject(event, arrived).await?;
                if let Some(typed) = self.typed.as_mut().filter(|_| types) {
                    typed.read_value(&self.view.borrow());
                }
            }
        }
        Ok(())
    }

    fn video(&self) -> Result<&Video, ApplyError> {
        self.video.as_ref().ok_or(ApplyError::NotShown)
    }

    fn answer_dialog(&self, id: u32, accept: bool, text: Option<String>) -> Result<(), ApplyError> {
        let dialog = self.view.borrow().dialog.clone();
        let dialog = dialog.filter(|dialog| dialog.id == id);
        prompts::answer_dialog(dialog.ok_or(ApplyError::NoDialog)?, accept, text);
        Ok(())
    }

    /// The user has chosen files, or none to cancel the choice.
    async fn choose_files(&mut self, id: u32, files: &[FileInfo]) -> Result<(), ApplyError> {
        if files.is_empty() {
            self.uploads.stop();
            prompts::answer_chooser(&self.follower, id, Vec::new()).await;
        } else if self.open_chooser() == Some(id) {
            let whole = self.uploads.begin(id, files).await?;
            self.deliver_files(id, whole).await;
        }
        Ok(())
    }

    /// The next bytes of the chosen files have come.
    async fn take_chunk(&mut self, id: u32, bytes: &[u8]) -> Result<(), ApplyError> {
        // Chunks are on their way while the page goes: no reason to trouble the user.
        if self.open_chooser() == Some(id) {
            let whole = self.uploads.take(id, bytes).await?;
            self.deliver_files(id, whole).await;
        }
        Ok(())
    }

    fn open_chooser(&self) -> Option<u32> {
        let view = self.view.borrow();
        view.chooser.as_ref().map(|chooser| chooser.id)
    }

    /// Gives the page the files once they are there as a whole.
    async fn deliver_files(&self, id: u32, whole: Option<Vec<String>>) {
        if let Some(paths) = whole {
            prompts::answer_chooser(&self.follower, id, paths).await;
        }
    }
}
