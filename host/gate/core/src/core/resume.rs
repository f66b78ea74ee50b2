//! A client comes back: its sessions are made and set up again, and it learns what has become of
//! its pages.
//!
//! Per session, in this order: what ended with the old document is detached; the frames as they
//! are now; the settings, which bring execution contexts and auto-attached targets; sessions that
//! the client made by itself.

use serde_json::{Value, json};

use super::client::{ClientId, Down, Place, Seen, Stage, State, Up};
use super::message::{Message, raw, text_of, value};
use super::{Core, Output, Pending};

impl Core {
    /// Gives up waiting for pages that do not answer: their clients go on without them.
    pub fn settle(&mut self) {
        let late: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.role.gated && client.state == State::Waiting)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(client) = self.clients.get(&id) else {
                continue;
            };
            let places = client.subtree(&None);
            for place in places {
                self.settle_session(id, &place);
            }
        }
    }

    fn settle_session(&mut self, id: ClientId, place: &Place) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        match (std::mem::replace(&mut session.stage, Stage::Live), place) {
            (Stage::Live, _) => {}
            (Stage::Dormant, None) => {
                self.output.push_back(Output::Disconnect(id));
                self.leave(id);
            }
            (Stage::Dormant, Some(down)) => self.lost(id, down),
            (Stage::Frames { events }, _) => {
                for (method, params) in events {
                    self.event(id, place, &method, &params);
                }
            }
            (Stage::Settings { .. } | Stage::Sessions { .. }, _) => {}
        }
        self.check_back(id);
    }

    /// A session has its counterpart in the browser again, or for the first time.
    pub(super) fn resume(&mut self, id: ClientId, place: &Place) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let mut ended = client.children(place);
        ended.retain(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| session.ends_with_document())
        });
        for child in ended {
            self.lost(id, &child);
        }
        let Some(session) = self.session(id, place) else {
            return;
        };
        let (up, has_page) = (session.up.clone(), session.journal.has("Page.enable"));
        if !has_page {
            return self.settings(id, place);
        }
        session.stage = Stage::Frames { events: Vec::new() };
        let none = raw(&json!({}));
        self.command(up.as_ref(), "Page.enable", &none, Pending::Nobody);
        self.command(
            up.as_ref(),
            "Page.getFrameTree",
            &none,
            Pending::Frames(id, place.clone()),
        );
    }

    pub(super) fn on_frames(&mut self, id: ClientId, place: &Place, message: &Message<'_>) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        let Stage::Frames { events } =
            std::mem::replace(&mut session.stage, Stage::Settings { left: 0 })
        else {
            return;
        };
        if session.journal.has("Runtime.enable") {
            self.tell_event(id, place, "Runtime.executionContextsCleared", &json!({}));
        }
        let result = value(message.result);
        let mut trees: Vec<&Value> = vec![&result["frameTree"]];
        while let Some(tree) = trees.pop() {
            let frame = &tree["frame"];
            if !frame["id"].is_string() {
                continue;
            }
            if frame["parentId"].is_string() {
                let attached =
                    json!({ "frameId": frame["id"], "parentFrameId": frame["parentId"] });
                self.tell_event(id, place, "Page.frameAttached", &attached);
            }
            let navigated = json!({ "frame": frame, "type": "Navigation" });
            self.tell_event(id, place, "Page.frameNavigated", &navigated);
            self.worlds(id, place, frame);
            trees.extend(tree["childFrames"].as_array().into_iter().flatten());
        }
        for (method, params) in events {
            self.event(id, place, &method, &params);
        }
        self.settings(id, place);
    }

    /// The frames as they are once every setting is in force.
    ///
    /// A document that came between the first look and the script settings has no world yet, and
    /// nothing would give it one: its client would wait for ever. A world that is there stays.
    pub(super) fn on_worlds(&mut self, id: ClientId, place: &Place, message: &Message<'_>) {
        let result = value(message.result);
        let mut trees: Vec<&Value> = vec![&result["frameTree"]];
        while let Some(tree) = trees.pop() {
            if tree["frame"]["id"].is_string() {
                self.worlds(id, place, &tree["frame"]);
            }
            trees.extend(tree["childFrames"].as_array().into_iter().flatten());
        }
    }

    /// Makes the client's isolated worlds in a frame.
    fn worlds(&mut self, id: ClientId, place: &Place, frame: &Value) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        let up = session.up.clone();
        for (_, mut params) in session.journal.worlds().to_vec() {
            params["frameId"] = frame["id"].clone();
            let params = raw(&params);
            self.command(
                up.as_ref(),
                "Page.createIsolatedWorld",
                &params,
                Pending::Nobody,
            );
        }
    }

    fn settings(&mut self, id: ClientId, place: &Place) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        let up = session.up.clone();
        let entries: Vec<_> = session
            .journal
            .entries()
            .filter(|e| e.method != "Page.enable")
            .cloned()
            .collect();
        session.stage = Stage::Settings {
            left: entries.len(),
        };
        for seen in session.targets.values_mut() {
            *seen = Seen::Before;
        }
        if entries.is_empty() {
            return self.sessions(id, place);
        }
        for entry in entries {
            let pending = Pending::Setting(id, place.clone(), entry.script);
            self.command(up.as_ref(), &entry.method, &entry.params, pending);
        }
    }

    pub(super) fn on_setting(
        &mut self,
        id: ClientId,
        place: &Place,
        script: Option<String>,
        message: &Message<'_>,
    ) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        if let Some(script) = script {
            let known = text_of(&value(message.result), "identifier").to_owned();
            session.scripts.insert(script, known);
        }
        if let Stage::Settings { left } = &mut session.stage {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.sessions(id, place);
            }
        }
    }

    /// All that comes by itself is back; what is missing is gone for good.
    fn sessions(&mut self, id: ClientId, place: &Place) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        let up = session.up.clone();
        if !session.journal.worlds().is_empty() {
            let none = raw(&json!({}));
            let worlds = Pending::Worlds(id, place.clone());
            self.command(up.as_ref(), "Page.getFrameTree", &none, worlds);
        }
        let Some(session) = self.session(id, place) else {
            return;
        };
        let missing: Vec<String> = session
            .targets
            .iter()
            .filter(|(_, seen)| **seen == Seen::Before)
            .map(|(target, _)| target.clone())
            .collect();
        for target in missing {
            if let Some(session) = self.session(id, place) {
                session.targets.remove(&target);
            }
            self.tell_event(
                id,
                place,
                "Target.targetDestroyed",
                &json!({ "targetId": target }),
            );
        }
        let mut own = Vec::new();
        for child in self.dormant(id, place) {
            match self.session(id, &Some(child.clone())) {
                Some(session) if session.explicit => {
                    own.push((child, session.kind.clone(), session.target.clone()))
                }
                _ => self.lost(id, &child),
            }
        }
        if let Some(session) = self.session(id, place) {
            session.stage = Stage::Sessions { left: own.len() };
        }
        if own.is_empty() {
            return self.settled(id, place);
        }
        for (child, kind, target) in own {
            let (method, params) = match kind.as_str() {
                "browser" => ("Target.attachToBrowserTarget", json!({})),
                _ => (
                    "Target.attachToTarget",
                    json!({ "targetId": target, "flatten": true }),
                ),
            };
            let pending = Pending::Child(id, place.clone(), child);
            self.command(up.as_ref(), method, &raw(&params), pending);
        }
    }

    pub(super) fn on_child(
        &mut self,
        id: ClientId,
        parent: &Place,
        child: &Down,
        message: &Message<'_>,
    ) {
        let result = value(message.result);
        let dormant = self
            .session(id, &Some(child.clone()))
            .is_some_and(|session| matches!(session.stage, Stage::Dormant));
        match result["sessionId"].as_str().map(Up::from) {
            // The event that should have come before the answer did not.
            Some(up) if dormant => self.revive(id, child, up),
            Some(_) => {}
            None => self.lost(id, child),
        }
        let Some(session) = self.session(id, parent) else {
            return;
        };
        if let Stage::Sessions { left } = &mut session.stage {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.settled(id, parent);
            }
        }
    }

    fn settled(&mut self, id: ClientId, place: &Place) {
        if let Some(session) = self.session(id, place) {
            session.stage = Stage::Live;
        }
        self.check_back(id);
    }

    /// Lets the client go on once all its sessions are back.
    pub(super) fn check_back(&mut self, id: ClientId) {
        let back = self.clients.get(&id).is_some_and(|client| {
            let mut sessions = client.sessions.values();
            client.state == State::Waiting && sessions.all(|s| matches!(s.stage, Stage::Live))
        });
        if back {
            self.release(id);
        }
    }

    fn dormant(&self, id: ClientId, place: &Place) -> Vec<Down> {
        let Some(client) = self.clients.get(&id) else {
            return Vec::new();
        };
        let mut children = client.children(place);
        children.retain(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| matches!(session.stage, Stage::Dormant))
        });
        children
    }

    /// A session that will not come back, and all within it: its client is told, innermost first.
    pub(super) fn lost(&mut self, id: ClientId, down: &Down) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let place = Some(down.clone());
        let mut gone = Vec::new();
        for place in client.subtree(&place).into_iter().rev() {
            if let (Some(down), Some(session)) = (&place, client.sessions.get(&place)) {
                let params = json!({ "sessionId": down.as_str(), "targetId": session.target });
                gone.push((session.parent.clone(), params));
            }
        }
        for (parent, params) in gone {
            self.tell_event(id, &parent, "Target.detachedFromTarget", &params);
        }
        self.drop_subtree(id, &place);
    }
}
