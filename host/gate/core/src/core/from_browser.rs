//! From the browser to a client.

use serde_json::Value;

use super::{
    Core, Output, Pending,
    agent_rules::is_web_target,
    authorization,
    client::{
        BrowserSessionId, ClientId, ClientSession, ClientSessionId, ResumeStep, SessionScope, State,
    },
    message::{Envelope, Message, parse, raw, text_of, value},
    targets::{self, no_such_target},
};

/// Events that repeat the past when a domain is enabled; nothing that happened while the gate was
/// closed is told.
const REPLAYED_EVENTS: [&str; 4] = [
    "Console.messageAdded",
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
];

impl Core {
    /// A message from the browser.
    pub fn browser_text(&mut self, text: &str) {
        let Some(message) = parse(text) else {
            // Never log the text: it may be what the user typed.
            tracing::debug!(bytes = text.len(), "unreadable CDP message ignored");
            return;
        };
        match (message.id, &message.method) {
            (Some(id), _) => self.answer(id, &message),
            (None, Some(method)) => match message.session.as_deref() {
                Some(session) => {
                    if let Some((client, scope)) =
                        self.owners.get(&BrowserSessionId::from(session)).cloned()
                    {
                        let params = message.params.map_or("{}", |params| params.get());
                        self.on_event(client, &scope, method, params);
                    }
                }
                None if method == "Target.attachedToTarget" => {
                    self.on_root_attached(&value(message.params));
                }
                None if method == "Target.detachedFromTarget" => {
                    self.on_root_detached(&value(message.params))
                }
                None => {}
            },
            (None, None) => {}
        }
    }

    fn answer(&mut self, id: i64, message: &Message<'_>) {
        // Answers to commands that were given up at the closing end here.
        let Some(pending) = self.pending.remove(&id) else {
            return;
        };
        match pending {
            Pending::Client {
                client,
                id,
                scope,
                method,
                params,
            } => {
                let text =
                    self.client_answer(client, id, &scope, &method, params.as_deref(), message);
                self.send_to_client(client, text);
            }
            Pending::Root(client) => self.on_root(client, message),
            Pending::Frames(client, scope) => self.on_frames(client, &scope, message),
            Pending::Worlds(client, scope) => self.on_worlds(client, &scope, message),
            Pending::Setting(client, scope, script) => {
                self.on_setting(client, &scope, script, message)
            }
            Pending::Child(client, parent, child) => {
                self.on_child(client, &parent, &child, message)
            }
            Pending::Detach | Pending::Ignored => {}
        }
        if let super::Phase::Closed { unanswered, .. } = &mut self.phase {
            unanswered.remove(&id);
        }
        self.check_closed();
    }

    fn on_root(&mut self, id: ClientId, message: &Message<'_>) {
        let result = value(message.result);
        let mut browser_session_id = result["sessionId"].as_str().map(BrowserSessionId::from);
        // It is being detached already.
        browser_session_id.take_if(|session| self.refused_sessions.contains(session));
        // A closing and an opening while a root was being attached leave two on their way: the first
        // is taken, and the second must not stay behind in the browser.
        let wanted = self.clients.get(&id).is_some_and(|client| {
            let root = client.sessions.get(&None);
            client.state == State::Attaching
                && root.is_some_and(|root| root.browser_session_id.is_none())
        });
        match (browser_session_id, wanted) {
            (Some(browser_session_id), true) => {
                if let Some(root) = self.session(id, &None) {
                    root.browser_session_id = Some(browser_session_id.clone());
                }
                self.owners.insert(browser_session_id, (id, None));
                self.resume(id, &None);
            }
            (Some(browser_session_id), false) => {
                let detach = self.detach(browser_session_id);
                self.delay_closed_until(detach);
            }
            (None, true) => {
                self.output.push_back(Output::Disconnect(id));
                self.leave(id);
            }
            (None, false) => {}
        }
    }

    /// Handles the end of a client's own session, whose target has closed.
    fn on_root_detached(&mut self, params: &Value) {
        let browser_session_id = BrowserSessionId::from(text_of(params, "sessionId"));
        self.refused_sessions.remove(&browser_session_id);
        if let Some((client, None)) = self.owners.get(&browser_session_id).cloned() {
            self.output.push_back(Output::Disconnect(client));
            self.leave(client);
        }
    }

    /// Gives the answer as the client is to see it, and records what the command has changed.
    fn client_answer(
        &mut self,
        id: ClientId,
        number: i64,
        scope: &SessionScope,
        method: &str,
        params: Option<&serde_json::value::RawValue>,
        message: &Message<'_>,
    ) -> String {
        let mut rewritten = None;
        let mut error = None;
        if let Some(client) = self.clients.get_mut(&id) {
            client.in_flight = client.in_flight.saturating_sub(1);
        }
        if message.error.is_none() && self.is_gated(id) {
            match method {
                "Target.attachToTarget" | "Target.attachToBrowserTarget" => {
                    let result = value(message.result);
                    let session = text_of(&result, "sessionId");
                    if self
                        .refused_sessions
                        .contains(&BrowserSessionId::from(session))
                    {
                        error = Some(no_such_target());
                    }
                    let client_session_id = ClientSessionId::from(session);
                    if let Some(session) = self.session(id, &Some(client_session_id)) {
                        session.explicit = true;
                    }
                }
                "Target.getTargets" => rewritten = Some(targets::only_web(message.result)),
                "Target.getTargetInfo" => {
                    if !is_web_target(&value(message.result)["targetInfo"]) {
                        error = Some(no_such_target());
                    }
                }
                "Target.createBrowserContext" => {
                    let context = value(message.result)["browserContextId"]
                        .as_str()
                        .map(ToOwned::to_owned);
                    if value(params)["disposeOnDetach"] == true
                        && let (Some(client), Some(context)) = (self.clients.get_mut(&id), context)
                    {
                        client.contexts.push(context);
                    }
                }
                "Target.disposeBrowserContext" => {
                    let params = value(params);
                    let gone = text_of(&params, "browserContextId");
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.contexts.retain(|context| context != gone);
                    }
                }
                "Page.addScriptToEvaluateOnNewDocument" => {
                    let mut result = value(message.result);
                    if let Some(session) = self.session(id, scope) {
                        let name = session.next_script.to_string();
                        session.next_script += 1;
                        let known = text_of(&result, "identifier").to_owned();
                        session.scripts.insert(name.clone(), known);
                        session.journal.record_script(&name, params);
                        result["identifier"] = name.into();
                        rewritten = Some(raw(&result));
                    }
                }
                "Page.removeScriptToEvaluateOnNewDocument" => {
                    let params = value(params);
                    let name = text_of(&params, "identifier");
                    if let Some(session) = self.session(id, scope) {
                        session.scripts.remove(name);
                        session.journal.forget_script(name);
                    }
                }
                _ => {
                    if let Some(session) = self.session(id, scope) {
                        session.journal.record(method, params);
                    }
                }
            }
        }
        Envelope {
            id: Some(number),
            session: scope.as_ref().map(ClientSessionId::as_str),
            result: match error {
                Some(_) => None,
                None => rewritten.as_deref().or(message.result),
            },
            error: error.as_deref().or(message.error),
            ..Envelope::default()
        }
        .text()
    }

    /// Handles an event of a client's session.
    pub(super) fn on_event(
        &mut self,
        id: ClientId,
        scope: &SessionScope,
        method: &str,
        params: &str,
    ) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        match &mut session.step {
            ResumeStep::Frames { events } => {
                events.push((method.to_owned(), params.to_owned()));
                return;
            }
            ResumeStep::Settings { .. } | ResumeStep::Sessions { .. }
                if REPLAYED_EVENTS.contains(&method) =>
            {
                return;
            }
            _ => {}
        }
        let read = || serde_json::from_str::<Value>(params).unwrap_or_default();
        match method {
            "Target.attachedToTarget" if self.refuses_target(id, scope, &read()) => return,
            "Target.attachedToTarget" if self.on_attached(id, scope, &read()) => return,
            "Target.detachedFromTarget" => return self.on_detached(id, scope, read()),
            "Target.targetCreated" | "Target.targetDestroyed" | "Target.targetInfoChanged"
                if self.is_gated(id) =>
            {
                return self.on_target(id, scope, method, &read());
            }
            _ => {}
        }
        let withheld = (self.is_gated(id)).then(|| authorization::withhold(method, params));
        let withheld = withheld.flatten();
        let Ok(params) = serde_json::from_str(params) else {
            return;
        };
        let text = Envelope {
            method: Some(method),
            session: scope.as_ref().map(ClientSessionId::as_str),
            params: withheld.as_deref().or(Some(params)),
            ..Envelope::default()
        };
        self.send_to_client(id, text.text());
    }

    /// Assigns a new session to its client; returns whether the client knows it already.
    fn on_attached(&mut self, id: ClientId, parent: &SessionScope, params: &Value) -> bool {
        let (session, info) = (text_of(params, "sessionId"), &params["targetInfo"]);
        let (target, kind) = (text_of(info, "targetId"), text_of(info, "type"));
        let (browser_session_id, client_session_id) = (
            BrowserSessionId::from(session),
            ClientSessionId::from(session),
        );
        let Some(known) = self.dormant_session_for(id, parent, target) else {
            let new = ClientSession::new(
                Some(browser_session_id.clone()),
                target,
                kind,
                false,
                parent.clone(),
                ResumeStep::Live,
            );
            if let Some(client) = self.clients.get_mut(&id) {
                client.sessions.insert(Some(client_session_id.clone()), new);
            }
            self.owners
                .insert(browser_session_id, (id, Some(client_session_id)));
            return false;
        };
        self.reattach(id, &known, browser_session_id);
        true
    }

    /// Finds the client's session that has no counterpart in the browser yet, and for which this one is it.
    fn dormant_session_for(
        &self,
        id: ClientId,
        parent: &SessionScope,
        target: &str,
    ) -> Option<ClientSessionId> {
        let client = self.clients.get(&id)?;
        let explicit = matches!(
            client.sessions.get(parent)?.step,
            ResumeStep::Sessions { .. }
        );
        let mut children = client.children(parent);
        children.sort();
        children.into_iter().find(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| {
                matches!(session.step, ResumeStep::Dormant)
                    && session.target == target
                    && session.explicit == explicit
            })
        })
    }

    pub(super) fn reattach(
        &mut self,
        id: ClientId,
        client_session_id: &ClientSessionId,
        browser_session_id: BrowserSessionId,
    ) {
        let scope = Some(client_session_id.clone());
        if let Some(session) = self.session(id, &scope) {
            session.browser_session_id = Some(browser_session_id.clone());
        }
        self.owners.insert(browser_session_id, (id, scope.clone()));
        self.resume(id, &scope);
    }

    /// Handles the end of a session, and of all within it.
    fn on_detached(&mut self, id: ClientId, parent: &SessionScope, mut params: Value) {
        let browser_session_id = BrowserSessionId::from(text_of(&params, "sessionId"));
        self.refused_sessions.remove(&browser_session_id);
        let Some((owner, Some(client_session_id))) = self.owners.get(&browser_session_id).cloned()
        else {
            return;
        };
        if owner != id {
            return;
        }
        params["sessionId"] = client_session_id.as_str().into();
        self.drop_subtree(id, &Some(client_session_id));
        self.send_event(id, parent, "Target.detachedFromTarget", &params);
        self.check_resumed(id);
    }

    /// Forgets a session and all within it.
    pub(super) fn drop_subtree(&mut self, id: ClientId, scope: &SessionScope) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let gone = client.subtree(scope);
        for scope in &gone {
            if let Some(browser_session_id) = client
                .sessions
                .remove(scope)
                .and_then(|session| session.browser_session_id)
            {
                self.owners.remove(&browser_session_id);
            }
        }
        self.pending.retain(|_, pending| match pending {
            // No answer comes from a session that has ended.
            Pending::Client {
                client: owner,
                scope,
                ..
            } if *owner == id && gone.contains(scope) => {
                client.in_flight = client.in_flight.saturating_sub(1);
                false
            }
            _ => true,
        });
    }

    pub(super) fn session(
        &mut self,
        id: ClientId,
        scope: &SessionScope,
    ) -> Option<&mut ClientSession> {
        self.clients.get_mut(&id)?.sessions.get_mut(scope)
    }
}
