//! New documents in the shown page, and its true address.

use authloop_cdp::{BrowserError, Event, Page};
use serde_json::json;

use super::{Actor, TaskReport};
use crate::follower::Health;

impl Actor {
    pub(super) fn on_navigated(&mut self, event: &Event) {
        let frame = &event.params["frame"];
        if frame["parentId"].is_string() {
            return;
        }
        let of = self.pages.values().find(|page| page.owns(event)).cloned();
        if let Some(page) = of {
            self.forget_prompts_of(&page);
            self.forget_dialog(page.target());
        }
        if !self.is_active(event) {
            return;
        }
        self.focus_source = None;
        self.focus_generation += 1;
        self.tracker.forget_title();
        self.update_view(|view| {
            view.focus = None;
            view.document += 1;
            view.health = Health::Alive;
        });
        self.request_address();
    }

    /// The committed address comes from the browser process, not from the page's renderer.
    pub(super) fn request_address(&self) {
        let Some(page) = self
            .tabs
            .active()
            .and_then(|id| self.pages.get(id))
            .cloned()
        else {
            return;
        };
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            if let Ok((url, title)) = committed_address(&page).await {
                let target = page.target().clone();
                let _actor_gone = reporter
                    .send(TaskReport::Address { target, url, title })
                    .await;
            }
        });
    }

    pub(super) fn publish_origin(&self) {
        let mut origin = self.tracker.info().clone();
        let security = self.tabs.active().and_then(|id| self.security.get(id));
        (origin.security, origin.certificate) = security.cloned().unwrap_or_default();
        self.update_view(|view| view.origin = origin);
    }
}

pub(super) async fn committed_address(page: &Page) -> Result<(String, String), BrowserError> {
    let history = page.call("Page.getNavigationHistory", json!({})).await?;
    let current = history["currentIndex"].as_u64().unwrap_or(0) as usize;
    let entry = &history["entries"][current];
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    Ok((text("url"), text("title")))
}
