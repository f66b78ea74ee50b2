//! The user's answers to what the browser asks, and their choice of a tab.

use authloop_browser::{Dialog, Follower, PromptAnswer};
use authloop_protocol::browser_ui::TabAction;

/// Begins to answer a dialog: the answer may open the next dialog, which would hold the call.
pub(super) fn answer_dialog(dialog: Dialog, accept: bool, text: Option<String>) {
    tokio::spawn(async move {
        if let Err(error) = dialog.page.handle_dialog(accept, text.as_deref()).await {
            tracing::debug!(%error, "the dialog was not answered");
        }
    });
}

/// Gives the page a name and a password, or cancels its challenge.
pub(super) async fn answer_challenge(
    follower: &Follower,
    id: u32,
    user: String,
    password: Option<String>,
) {
    let credentials = password.map(|password| (user, password));
    follower
        .answer(PromptAnswer::Auth { id, credentials })
        .await;
}

/// Gives the page files, or none to cancel its choice.
pub(super) async fn answer_chooser(follower: &Follower, id: u32, paths: Vec<String>) {
    follower.answer(PromptAnswer::Files { id, paths }).await;
}

pub(super) async fn act_on_tab(follower: &Follower, id: u32, action: TabAction) {
    match action {
        TabAction::Show => follower.show_tab(id).await,
        TabAction::Close => follower.close_tab(id).await,
    }
}
