//! Frames in processes of their own, and whose page they belong to.

use authloop_cdp::{CdpSessionId, Event, FrameId, Page};
use serde_json::{Value, json};

use super::{Actor, FrameSession};

impl Actor {
    pub(super) fn on_frame_session(&mut self, event: &Event) {
        let info = &event.params["targetInfo"];
        let session = event.params["sessionId"].as_str().map(CdpSessionId::from);
        let (Some(session), Some(frame), Some("iframe")) =
            (session, info["targetId"].as_str(), info["type"].as_str())
        else {
            return;
        };
        let connection = self.connection();
        for (method, params) in [
            ("Page.enable", json!({})),
            ("Target.setAutoAttach", frames_only()),
        ] {
            // A frame that is gone before it is watched needs no watching.
            let _gone = connection.notify(Some(&session), method, params);
        }
        self.frames.insert(
            session.clone(),
            FrameSession {
                parent: event.session.clone(),
                frame: FrameId::from(frame),
            },
        );
        self.watch_open_frames(Some(session.clone()));
        self.intercept_session(Some(session));
    }

    /// The page a session belongs to, directly or through frames.
    pub(super) fn page_of(&self, session: Option<&CdpSessionId>) -> Option<Page> {
        let mut at = session;
        while let Some(frame) = at.and_then(|session| self.frames.get(session)) {
            at = frame.parent.as_ref();
        }
        self.pages
            .values()
            .find(|page| page.session() == at)
            .cloned()
    }
}

/// Attaches to frames in other processes, and to nothing else.
pub(super) fn frames_only() -> Value {
    json!({
        "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true,
        "filter": [{ "type": "iframe" }],
    })
}
