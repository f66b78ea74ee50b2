//! The page's history: whether there is a page to go back to, and going there.

use authloop_browser::View;
use authloop_cdp::Page;
use authloop_protocol::input::Navigation;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{AbortOnDrop, ApplyError};

/// Whether there is a page to go back to.
pub(super) struct History {
    can_go_back: watch::Receiver<bool>,
    _follow: AbortOnDrop,
}

impl History {
    /// Follows the shown page's history. Must be called inside a tokio runtime.
    pub(super) fn follow(view: watch::Receiver<View>) -> Self {
        let (sender, can_go_back) = watch::channel(false);
        let task = tokio::spawn(follow_history(view, sender));
        Self {
            can_go_back,
            _follow: AbortOnDrop(task),
        }
    }

    pub(super) fn can_go_back(&mut self) -> bool {
        *self.can_go_back.borrow_and_update()
    }

    /// Waits until it is otherwise; for ever once the browser is gone.
    pub(super) async fn changed(&mut self) {
        if self.can_go_back.changed().await.is_err() {
            std::future::pending::<()>().await;
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

/// Begins to navigate; that may take as long as the page does.
pub(super) fn start_navigation(page: Page, action: Navigation) {
    tokio::spawn(async move {
        if let Err(error) = navigate(&page, action).await {
            tracing::debug!(%error, "the page did not navigate");
        }
    });
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
