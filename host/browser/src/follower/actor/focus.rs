//! The focused field, through frames.

use authloop_cdp::{CdpSessionId, FrameId, Page};
use serde_json::{Value, json};

use super::{Actor, TaskReport};
use crate::focus::{self, Ancestry, FocusReport, FrameSource};

impl Actor {
    /// Watches the focus in a frame's new document; ends with the document.
    pub(super) fn watch_focus(&mut self, session: Option<&CdpSessionId>, frame: &Value) {
        let Some(frame) = frame.as_str().map(FrameId::from) else {
            return;
        };
        let source = FrameSource {
            session: session.cloned(),
            frame,
        };
        if self
            .focus_source
            .as_ref()
            .is_some_and(|(s, _)| *s == source)
        {
            self.lose_focus();
        }
        self.forget_picker(&source);
        if self.page_of(session).is_none() {
            return;
        }
        self.watch_prompts(&source);
        let connection = self.connection();
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            let send = |report| {
                let source = source.clone();
                let reporter = reporter.clone();
                async move {
                    let _actor_gone = reporter
                        .send(TaskReport::FocusReport { source, report })
                        .await;
                }
            };
            let ended = focus::watch(&connection, &source, send).await;
            tracing::trace!(?ended, "a document is watched no more");
        });
    }

    /// The documents that a page, or a frame in a process of its own, shows already: nobody tells of frames
    /// that were there before.
    pub(super) fn watch_open_frames(&mut self, session: Option<CdpSessionId>) {
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        tokio::spawn(async move {
            let tree = connection.call(session.as_ref(), "Page.getFrameTree", json!({}));
            if let Ok(answer) = tree.await {
                let tree = TaskReport::FrameTree(session, answer);
                let _actor_gone = reporter.send(tree).await;
            }
        });
    }

    pub(super) fn on_focus_report(&mut self, source: &FrameSource, report: Option<FocusReport>) {
        let Some(page) = self.page_of(source.session.as_ref()) else {
            return;
        };
        if self.tabs.active() != Some(page.target()) {
            return;
        }
        let Some(report) = report else {
            // A frame that lost the focus may be heard after the one that gained it.
            if self.focus_source.as_ref().is_some_and(|(s, _)| s == source) {
                self.lose_focus();
            }
            return;
        };
        let here = Some((source.clone(), report.number));
        if self.focus_source != here {
            self.focus_source = here;
            self.last_field_id += 1;
        }
        self.focus_generation += 1;
        let (generation, id) = (self.focus_generation, self.last_field_id);
        let ancestry = self.ancestry(&page, source.session.as_ref());
        let (connection, source) = (self.connection(), source.clone());
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            let located = focus::locate_field(&connection, &source, &ancestry, id, report).await;
            if let Ok(field) = located {
                let _actor_gone = reporter.send(TaskReport::Focus { generation, field }).await;
            }
        });
    }

    pub(super) fn lose_focus(&mut self) {
        self.focus_source = None;
        self.focus_generation += 1;
        self.update_view(|view| view.focus = None);
    }

    pub(super) fn drop_focus_of(&mut self, session: Option<&CdpSessionId>) {
        let lost = |(source, _): &(FrameSource, u64)| source.session.as_ref() == session;
        if self.focus_source.as_ref().is_some_and(lost) {
            self.lose_focus();
        }
    }

    pub(super) fn ancestry(&self, page: &Page, session: Option<&CdpSessionId>) -> Ancestry {
        let mut inner = Vec::new();
        let mut at = session.cloned();
        while let Some(frame) = at.as_ref().and_then(|session| self.frames.get(session)) {
            inner.push((at.clone(), frame.frame.clone()));
            at.clone_from(&frame.parent);
        }
        Ancestry {
            inner,
            page: page.session().cloned(),
            top_frame: FrameId::from(page.target().as_str()),
        }
    }
}
