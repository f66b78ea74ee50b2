//! Brings a client back: its sessions are made and set up again, and it learns what has become of
//! its pages.
//!
//! Per session, in this order: what ended with the old document is detached; the frames as they
//! are now; the settings, which bring execution contexts and auto-attached targets; sessions that
//! the client made by itself.

use serde_json::{Value, json};

use super::{
    Core, Output, Pending,
    client::{
        BrowserSessionId, ClientId, ClientSessionId, ResumeStep, SessionScope, State, TargetStatus,
    },
    message::{Message, raw, text_of, value},
};

impl Core {
    /// Gives up waiting for pages that do not answer: their clients go on without them.
    pub fn finish_opening(&mut self) {
        let unresumed: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.role.gated && client.state == State::Attaching)
            .map(|(id, _)| *id)
            .collect();
        for id in unresumed {
            let Some(client) = self.clients.get(&id) else {
                continue;
            };
            let scopes = client.subtree(&None);
            for scope in scopes {
                self.finish_session(id, &scope);
            }
        }
    }

    fn finish_session(&mut self, id: ClientId, scope: &SessionScope) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        match (
            std::mem::replace(&mut session.step, ResumeStep::Live),
            scope,
        ) {
            (ResumeStep::Live, _) => {}
            (ResumeStep::Dormant, None) => {
                self.output.push_back(Output::Disconnect(id));
                self.leave(id);
            }
            (ResumeStep::Dormant, Some(client_session_id)) => {
                self.end_lost_session(id, client_session_id)
            }
            (ResumeStep::Frames { events }, _) => {
                for (method, params) in events {
                    self.on_event(id, scope, &method, &params);
                }
            }
            (ResumeStep::Settings { .. } | ResumeStep::Sessions { .. }, _) => {}
        }
        self.check_resumed(id);
    }

    /// Sets up a session that has its counterpart in the browser again, or for the first time.
    pub(super) fn resume(&mut self, id: ClientId, scope: &SessionScope) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let mut ended = client.children(scope);
        ended.retain(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| session.ends_with_document())
        });
        for child in ended {
            self.end_lost_session(id, &child);
        }
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let (browser_session_id, has_page) = (
            session.browser_session_id.clone(),
            session.journal.has("Page.enable"),
        );
        if !has_page {
            return self.restore_settings(id, scope);
        }
        session.step = ResumeStep::Frames { events: Vec::new() };
        let none = raw(&json!({}));
        self.send_command(
            browser_session_id.as_ref(),
            "Page.enable",
            &none,
            Pending::Ignored,
        );
        self.send_command(
            browser_session_id.as_ref(),
            "Page.getFrameTree",
            &none,
            Pending::Frames(id, scope.clone()),
        );
    }

    pub(super) fn on_frames(&mut self, id: ClientId, scope: &SessionScope, message: &Message<'_>) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let ResumeStep::Frames { events } =
            std::mem::replace(&mut session.step, ResumeStep::Settings { left: 0 })
        else {
            return;
        };
        if session.journal.has("Runtime.enable") {
            self.send_event(id, scope, "Runtime.executionContextsCleared", &json!({}));
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
                self.send_event(id, scope, "Page.frameAttached", &attached);
            }
            let navigated = json!({ "frame": frame, "type": "Navigation" });
            self.send_event(id, scope, "Page.frameNavigated", &navigated);
            self.create_worlds(id, scope, frame);
            trees.extend(tree["childFrames"].as_array().into_iter().flatten());
        }
        for (method, params) in events {
            self.on_event(id, scope, &method, &params);
        }
        self.restore_settings(id, scope);
    }

    /// Handles the frames as they are once every setting is in force.
    ///
    /// A document that came between the first look and the script settings has no world yet, and
    /// nothing would give it one: its client would wait for ever. A world that is there stays.
    pub(super) fn on_worlds(&mut self, id: ClientId, scope: &SessionScope, message: &Message<'_>) {
        let result = value(message.result);
        let mut trees: Vec<&Value> = vec![&result["frameTree"]];
        while let Some(tree) = trees.pop() {
            if tree["frame"]["id"].is_string() {
                self.create_worlds(id, scope, &tree["frame"]);
            }
            trees.extend(tree["childFrames"].as_array().into_iter().flatten());
        }
    }

    /// Makes the client's isolated worlds in a frame.
    fn create_worlds(&mut self, id: ClientId, scope: &SessionScope, frame: &Value) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let browser_session_id = session.browser_session_id.clone();
        for (_, mut params) in session.journal.worlds().to_vec() {
            params["frameId"] = frame["id"].clone();
            let params = raw(&params);
            self.send_command(
                browser_session_id.as_ref(),
                "Page.createIsolatedWorld",
                &params,
                Pending::Ignored,
            );
        }
    }

    fn restore_settings(&mut self, id: ClientId, scope: &SessionScope) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let browser_session_id = session.browser_session_id.clone();
        let entries: Vec<_> = session
            .journal
            .entries()
            .filter(|e| e.method != "Page.enable")
            .cloned()
            .collect();
        session.step = ResumeStep::Settings {
            left: entries.len(),
        };
        for status in session.targets.values_mut() {
            *status = TargetStatus::Unconfirmed;
        }
        if entries.is_empty() {
            return self.restore_sessions(id, scope);
        }
        for entry in entries {
            let pending = Pending::Setting(id, scope.clone(), entry.script);
            self.send_command(
                browser_session_id.as_ref(),
                &entry.method,
                &entry.params,
                pending,
            );
        }
    }

    pub(super) fn on_setting(
        &mut self,
        id: ClientId,
        scope: &SessionScope,
        script: Option<String>,
        message: &Message<'_>,
    ) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        if let Some(script) = script {
            let known = text_of(&value(message.result), "identifier").to_owned();
            session.scripts.insert(script, known);
        }
        if let ResumeStep::Settings { left } = &mut session.step {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.restore_sessions(id, scope);
            }
        }
    }

    /// Makes the client's own sessions again. All that comes by itself is back; what is missing is
    /// gone for good.
    fn restore_sessions(&mut self, id: ClientId, scope: &SessionScope) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let browser_session_id = session.browser_session_id.clone();
        if !session.journal.worlds().is_empty() {
            let none = raw(&json!({}));
            let worlds = Pending::Worlds(id, scope.clone());
            self.send_command(
                browser_session_id.as_ref(),
                "Page.getFrameTree",
                &none,
                worlds,
            );
        }
        let Some(session) = self.session(id, scope) else {
            return;
        };
        let missing: Vec<String> = session
            .targets
            .iter()
            .filter(|(_, status)| **status == TargetStatus::Unconfirmed)
            .map(|(target, _)| target.clone())
            .collect();
        for target in missing {
            if let Some(session) = self.session(id, scope) {
                session.targets.remove(&target);
            }
            self.send_event(
                id,
                scope,
                "Target.targetDestroyed",
                &json!({ "targetId": target }),
            );
        }
        let mut own = Vec::new();
        for child in self.dormant_children(id, scope) {
            match self.session(id, &Some(child.clone())) {
                Some(session) if session.explicit => {
                    own.push((child, session.kind.clone(), session.target.clone()))
                }
                _ => self.end_lost_session(id, &child),
            }
        }
        if let Some(session) = self.session(id, scope) {
            session.step = ResumeStep::Sessions { left: own.len() };
        }
        if own.is_empty() {
            return self.on_session_resumed(id, scope);
        }
        for (child, kind, target) in own {
            let (method, params) = match kind.as_str() {
                "browser" => ("Target.attachToBrowserTarget", json!({})),
                _ => (
                    "Target.attachToTarget",
                    json!({ "targetId": target, "flatten": true }),
                ),
            };
            let pending = Pending::Child(id, scope.clone(), child);
            self.send_command(browser_session_id.as_ref(), method, &raw(&params), pending);
        }
    }

    pub(super) fn on_child(
        &mut self,
        id: ClientId,
        parent: &SessionScope,
        child: &ClientSessionId,
        message: &Message<'_>,
    ) {
        let result = value(message.result);
        let made = result["sessionId"].as_str().map(BrowserSessionId::from);
        let made = made.filter(|session| !self.refused_sessions.contains(session));
        let dormant = self
            .session(id, &Some(child.clone()))
            .is_some_and(|session| matches!(session.step, ResumeStep::Dormant));
        match made {
            // The event that should have come before the answer did not.
            Some(browser_session_id) if dormant => self.reattach(id, child, browser_session_id),
            Some(_) => {}
            None => self.end_lost_session(id, child),
        }
        let Some(session) = self.session(id, parent) else {
            return;
        };
        if let ResumeStep::Sessions { left } = &mut session.step {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.on_session_resumed(id, parent);
            }
        }
    }

    fn on_session_resumed(&mut self, id: ClientId, scope: &SessionScope) {
        if let Some(session) = self.session(id, scope) {
            session.step = ResumeStep::Live;
        }
        self.check_resumed(id);
    }

    /// Lets the client go on once all its sessions are back.
    pub(super) fn check_resumed(&mut self, id: ClientId) {
        let back = self.clients.get(&id).is_some_and(|client| {
            let mut sessions = client.sessions.values();
            client.state == State::Attaching && sessions.all(|s| matches!(s.step, ResumeStep::Live))
        });
        if back {
            self.go_live(id);
        }
    }

    fn dormant_children(&self, id: ClientId, scope: &SessionScope) -> Vec<ClientSessionId> {
        let Some(client) = self.clients.get(&id) else {
            return Vec::new();
        };
        let mut children = client.children(scope);
        children.retain(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| matches!(session.step, ResumeStep::Dormant))
        });
        children
    }

    /// Ends a session that will not come back, and all within it; its client is told, innermost first.
    pub(super) fn end_lost_session(&mut self, id: ClientId, client_session_id: &ClientSessionId) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let scope = Some(client_session_id.clone());
        let mut gone = Vec::new();
        for scope in client.subtree(&scope).into_iter().rev() {
            if let (Some(client_session_id), Some(session)) = (&scope, client.sessions.get(&scope))
            {
                let params =
                    json!({ "sessionId": client_session_id.as_str(), "targetId": session.target });
                gone.push((session.parent.clone(), params));
            }
        }
        for (parent, params) in gone {
            self.send_event(id, &parent, "Target.detachedFromTarget", &params);
        }
        self.drop_subtree(id, &scope);
    }
}
