//! Pages that open and close.

use authloop_cdp::{BrowserError, Page, TargetId, TargetInfo};
use serde_json::{Value, json};

use super::{Actor, TaskReport, watch_page};
use crate::follower::Health;

impl Actor {
    pub(super) fn on_target(&mut self, info: &Value) {
        let Some(info) = TargetInfo::from_cdp(info) else {
            return;
        };
        if self.tabs.contains(&info.id) {
            self.tabs.describe(&info);
            self.publish_tabs();
            // The address in a target's info may still be a pending one: ask for the committed.
            if self.tabs.active() == Some(&info.id) {
                self.request_address();
            }
        } else {
            self.on_opened(&info);
        }
    }

    pub(super) fn on_opened(&mut self, info: &TargetInfo) {
        if self.tabs.opened(info) {
            self.attach(info.id.clone());
            self.publish_tabs();
        }
    }

    pub(super) fn attach(&self, target: TargetId) {
        let browser = self.browser.clone();
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            // A popup that is already closed again is reported by its own event.
            if let Ok(page) = browser.attach(&target).await
                && watch_page(&page).await.is_ok()
            {
                let _actor_gone = reporter.send(TaskReport::Attached(page)).await;
            }
        });
    }

    pub(super) fn on_closed(&mut self, id: &TargetId) {
        let changed = self.tabs.closed(id);
        self.security.remove(id);
        self.open_dialogs.remove(id);
        self.publish_tabs();
        if let Some(page) = self.pages.get(id).cloned() {
            self.forget_prompts_of(&page);
        }
        if self.pages.remove(id).is_some() {
            let browser = self.browser.clone();
            let id = id.clone();
            tokio::spawn(async move { browser.forget(&id).await });
        }
        if !changed {
            return;
        }
        let next = self
            .tabs
            .active()
            .and_then(|id| self.pages.get(id))
            .cloned();
        match next {
            Some(page) => self.show(&page),
            None => self.update_view(|view| {
                view.health = Health::Gone(BrowserError::NoPage);
                view.focus = None;
                view.dialog = None;
            }),
        }
    }

    pub(super) fn show(&mut self, page: &Page) {
        self.focus_source = None;
        self.focus_generation += 1;
        self.tracker.forget_title();
        let shown = page.clone();
        let dialog = self.open_dialogs.get(page.target()).cloned();
        self.forget_shown_picker();
        self.update_view(|view| {
            view.page = shown;
            view.focus = None;
            view.dialog = dialog;
            view.health = Health::Alive;
            view.document += 1;
        });
        let _page_may_be_gone = page.notify("Page.bringToFront", json!({}));
        self.publish_tabs();
        self.request_address();
    }

    /// The user wants to see another window.
    pub(super) fn show_tab(&mut self, number: u32) {
        let id = self.tabs.numbered(number).cloned();
        if let Some(id) = id.filter(|id| self.tabs.switch(id))
            && let Some(page) = self.pages.get(&id).cloned()
        {
            self.show(&page);
        }
        self.publish_tabs();
    }

    pub(super) fn publish_tabs(&self) {
        let tabs = self.tabs.list();
        self.update_view(|view| view.tabs = tabs);
    }

    /// Closes a window, but never the last one.
    pub(super) fn close_tab(&self, number: u32) {
        let Some(id) = self.tabs.numbered(number).cloned() else {
            return;
        };
        if self.tabs.list().len() < 2 {
            return;
        }
        let browser = self.browser.clone();
        tokio::spawn(async move {
            let params = json!({ "targetId": id.as_str() });
            if let Err(error) = browser.call("Target.closeTarget", params).await {
                tracing::debug!(%error, "a window was not closed");
            }
        });
    }

    /// After lost events: the pages are listed again; the rest corrects itself with the next event.
    pub(super) fn resynchronise(&self) {
        tracing::warn!("browser events were lost, listing its pages again");
        let browser = self.browser.clone();
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            if let Ok(pages) = browser.pages().await {
                let _actor_gone = reporter.send(TaskReport::Pages(pages)).await;
            }
        });
    }
}
