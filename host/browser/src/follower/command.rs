//! What the owner of a follower wants of its actor.

use tokio::sync::oneshot;

use crate::prompts::PromptAnswer;

/// One order to the actor.
pub(super) enum Command {
    BeginUserControl,
    EndUserControl(oneshot::Sender<()>),
    Answer(PromptAnswer),
    ShowTab(u32),
    CloseTab(u32),
}
