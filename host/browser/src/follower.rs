//! Follows what the user should see: one actor over the browser's events.
//!
//! The actor never waits for the browser: what needs an answer runs as a task that reports back, so
//! a frozen page cannot keep a dialog, a crash or a popup from being seen.

mod actor;
mod command;

use std::sync::Arc;

use authloop_cdp::{Browser, BrowserError, Page, TargetId};
use authloop_protocol::browser_ui::Picker;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    focus::FocusedField,
    origin::OriginInfo,
    prompts::{AuthChallenge, FileChooser, PromptAnswer, Refusals},
    tabs::Tab,
};
use command::Command;

/// What the user should see now. Level-triggered: a slow reader misses steps, never the state.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The page to show and to send input to.
    pub page: Page,
    /// Where it comes from.
    pub origin: OriginInfo,
    /// The editable field that has the focus.
    pub focus: Option<FocusedField>,
    /// A JavaScript dialog that holds the page until it is answered.
    pub dialog: Option<Dialog>,
    /// The control that the user opened, to be offered natively.
    pub picker: Option<Arc<Picker>>,
    /// HTTP authentication that a request waits for.
    pub challenge: Option<AuthChallenge>,
    /// The file chooser that the page opened.
    pub chooser: Option<FileChooser>,
    /// What was refused, as nobody could have answered it.
    pub refusals: Refusals,
    /// The page's windows, in order of opening.
    pub tabs: Vec<Tab>,
    /// Whether the page can be used.
    pub health: Health,
    /// Rises with each new document in the page's top frame and with each change of page.
    pub document: u64,
}

/// Whether the shown page can be used.
#[derive(Debug, Clone, Default)]
pub enum Health {
    /// It runs.
    #[default]
    Alive,
    /// Its renderer crashed; reloading or navigating revives it.
    Crashed,
    /// It is gone, and no other page took its place, or the browser itself is gone. Final only if
    /// the browser is gone.
    Gone(BrowserError),
}

impl PartialEq for Health {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What kind of answer a dialog takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogKind {
    /// A message.
    Alert,
    /// OK or Cancel.
    Confirm,
    /// A line of text.
    Prompt,
    /// Leave or stay.
    BeforeUnload,
}

/// A JavaScript dialog; answer it by [`Page::handle_dialog`] on [`Dialog::page`].
#[derive(Debug, Clone, PartialEq)]
pub struct Dialog {
    /// Differs from every other dialog of this session.
    pub id: u32,
    /// What kind it is.
    pub kind: DialogKind,
    /// The page's words.
    pub message: String,
    /// The page's proposal for a prompt.
    pub default_text: String,
    /// The address of the frame that asks.
    pub url: String,
    /// The page it holds.
    pub page: Page,
}

/// Follows the user's view until dropped.
#[derive(Debug)]
pub struct Follower {
    view: watch::Receiver<View>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// Most commands that may wait for the actor, which never waits itself.
const MAX_QUEUED_COMMANDS: usize = 64;

impl Follower {
    /// Follows what the user should see, from `first` or else from [`Browser::default_page`].
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn start(browser: &Browser, first: Option<&TargetId>) -> Result<Self, BrowserError> {
        let first = match first {
            Some(target) => target.clone(),
            None => browser.default_page().await?.id,
        };
        let (commands, queued_commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let (actor, view) = actor::Actor::prepare(browser.clone(), &first, queued_commands).await?;
        Ok(Self {
            view,
            commands,
            task: tokio::spawn(actor.run()),
        })
    }

    /// The view now and its changes.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Gives the browser to the user: what it would ask unseen is in the [`View`], until
    /// [`Self::end_user_control`].
    pub async fn begin_user_control(&self) {
        self.send_command(Command::BeginUserControl).await;
    }

    /// Gives the browser back as it was; prompts that still wait are cancelled.
    pub async fn end_user_control(&self) {
        let (done, released) = oneshot::channel();
        self.send_command(Command::EndUserControl(done)).await;
        let _browser_gone = released.await;
    }

    /// Gives the user's answer; one to what is no longer asked does nothing.
    pub async fn answer(&self, answer: PromptAnswer) {
        self.send_command(Command::Answer(answer)).await;
    }

    /// Shows another of [`View::tabs`].
    pub async fn show_tab(&self, number: u32) {
        self.send_command(Command::ShowTab(number)).await;
    }

    /// Closes one of [`View::tabs`], if it is not the last.
    pub async fn close_tab(&self, number: u32) {
        self.send_command(Command::CloseTab(number)).await;
    }

    async fn send_command(&self, command: Command) {
        // Without an actor the browser is gone, which the view says.
        let _gone = self.commands.send(command).await;
    }

    /// The page to show now.
    pub fn page(&self) -> Page {
        self.view.borrow().page.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
