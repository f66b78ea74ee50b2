//! JavaScript dialogs, each holding a page of its own.

use authloop_cdp::{Event, TargetId};

use super::{Actor, Dialog};
use crate::follow::DialogKind;

impl Actor {
    pub(super) fn on_dialog(&mut self, event: &Event) {
        let Some(page) = self.page_of(event.session.as_ref()) else {
            return;
        };
        let params = &event.params;
        let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
        self.dialogs += 1;
        let dialog = Dialog {
            id: self.dialogs,
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
        self.dialogs_changed();
    }

    fn dialogs_changed(&self) {
        let shown = self.tabs.active().and_then(|id| self.open_dialogs.get(id));
        let dialog = shown.cloned();
        self.change(|view| view.dialog = dialog);
    }

    pub(super) fn forget_dialog(&mut self, id: &TargetId) {
        if self.open_dialogs.remove(id).is_some() {
            self.dialogs_changed();
        }
    }
}
