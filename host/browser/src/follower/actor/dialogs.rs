//! JavaScript dialogs, each holding a page of its own.

use authloop_cdp::{Event, TargetId};

use super::{Actor, Dialog};
use crate::follower::DialogKind;

impl Actor {
    pub(super) fn on_dialog(&mut self, event: &Event) {
        let Some(page) = self.page_of(event.session.as_ref()) else {
            return;
        };
        let params = &event.params;
        let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
        self.last_dialog_id += 1;
        let dialog = Dialog {
            id: self.last_dialog_id,
            kind: match params["type"].as_str() {
                Some("confirm") => DialogKind::Confirm,
                Some("prompt") => DialogKind::Prompt,
                Some("beforeunload") => DialogKind::BeforeUnload,
                _ => DialogKind::Alert,
            },
            message: text("message"),
            default_text: text("defaultPrompt"),
            url: text("url"),
            page,
        };
        self.open_dialogs
            .insert(dialog.page.target().clone(), dialog);
        self.publish_dialog();
    }

    fn publish_dialog(&self) {
        let shown = self.tabs.active().and_then(|id| self.open_dialogs.get(id));
        let dialog = shown.cloned();
        self.update_view(|view| view.dialog = dialog);
    }

    pub(super) fn forget_dialog(&mut self, id: &TargetId) {
        if self.open_dialogs.remove(id).is_some() {
            self.publish_dialog();
        }
    }
}
