//! From the browser to a client.

use serde_json::{Value, json};

use super::client::{ClientId, Down, Place, Seen, Session, Stage, State, Up};
use super::message::{Envelope, Message, parse, raw, text_of, value};
use super::{Core, Output, Pending};

/// What a domain tells of the past when it is enabled; of a closure nothing is told.
const PAST: [&str; 4] = [
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
                    if let Some((client, place)) = self.owners.get(&Up::from(session)).cloned() {
                        let params = message.params.map_or("{}", |params| params.get());
                        self.event(client, &place, method, params);
                    }
                }
                None if method == "Target.detachedFromTarget" => {
                    self.root_gone(&value(message.params))
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
                place,
                method,
                params,
            } => {
                let text =
                    self.client_answer(client, id, &place, &method, params.as_deref(), message);
                self.tell(client, text);
            }
            Pending::Root(client) => self.on_root(client, message),
            Pending::Frames(client, place) => self.on_frames(client, &place, message),
            Pending::Worlds(client, place) => self.on_worlds(client, &place, message),
            Pending::Setting(client, place, script) => {
                self.on_setting(client, &place, script, message)
            }
            Pending::Child(client, parent, child) => {
                self.on_child(client, &parent, &child, message)
            }
            Pending::Detach | Pending::Nobody => {}
        }
        if let super::Phase::Closed { waiting, .. } = &mut self.phase {
            waiting.remove(&id);
        }
        self.check_closed();
    }

    fn on_root(&mut self, id: ClientId, message: &Message<'_>) {
        let result = value(message.result);
        let up = result["sessionId"].as_str().map(Up::from);
        // A closing and an opening while a root was being attached leave two on their way: the first
        // is taken, and the second must not stay behind in the browser.
        let wanted = self.clients.get(&id).is_some_and(|client| {
            let root = client.sessions.get(&None);
            client.state == State::Waiting && root.is_some_and(|root| root.up.is_none())
        });
        match (up, wanted) {
            (Some(up), true) => {
                if let Some(root) = self.session(id, &None) {
                    root.up = Some(up.clone());
                }
                self.owners.insert(up, (id, None));
                self.resume(id, &None);
            }
            (Some(up), false) => {
                let detach = self.detach(up);
                self.wait_for(detach);
            }
            (None, true) => {
                self.output.push_back(Output::Disconnect(id));
                self.leave(id);
            }
            (None, false) => {}
        }
    }

    /// The target of a client's own session has closed.
    fn root_gone(&mut self, params: &Value) {
        let up = Up::from(text_of(params, "sessionId"));
        if let Some((client, None)) = self.owners.get(&up).cloned() {
            self.output.push_back(Output::Disconnect(client));
            self.leave(client);
        }
    }

    /// The answer as the client is to see it; what it changes is taken note of.
    fn client_answer(
        &mut self,
        id: ClientId,
        number: i64,
        place: &Place,
        method: &str,
        params: Option<&serde_json::value::RawValue>,
        message: &Message<'_>,
    ) -> String {
        let mut rewritten = None;
        if let Some(client) = self.clients.get_mut(&id) {
            client.in_flight = client.in_flight.saturating_sub(1);
        }
        if message.error.is_none() && self.gated(id) {
            match method {
                "Target.attachToTarget" | "Target.attachToBrowserTarget" => {
                    let result = value(message.result);
                    let down = Down::from(text_of(&result, "sessionId"));
                    if let Some(session) = self.session(id, &Some(down)) {
                        session.explicit = true;
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
                    if let Some(session) = self.session(id, place) {
                        let name = session.next_script.to_string();
                        session.next_script += 1;
                        let known = text_of(&result, "identifier").to_owned();
                        session.scripts.insert(name.clone(), known);
                        session.journal.script(&name, params);
                        result["identifier"] = name.into();
                        rewritten = Some(raw(&result));
                    }
                }
                "Page.removeScriptToEvaluateOnNewDocument" => {
                    let params = value(params);
                    let name = text_of(&params, "identifier");
                    if let Some(session) = self.session(id, place) {
                        session.scripts.remove(name);
                        session.journal.forget_script(name);
                    }
                }
                _ => {
                    if let Some(session) = self.session(id, place) {
                        session.journal.done(method, params);
                    }
                }
            }
        }
        Envelope {
            id: Some(number),
            session: place.as_ref().map(Down::as_str),
            result: rewritten.as_deref().or(message.result),
            error: message.error,
            ..Envelope::default()
        }
        .text()
    }

    /// An event of a client's session.
    pub(super) fn event(&mut self, id: ClientId, place: &Place, method: &str, params: &str) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        match &mut session.stage {
            Stage::Frames { events } => {
                events.push((method.to_owned(), params.to_owned()));
                return;
            }
            Stage::Settings { .. } | Stage::Sessions { .. } if PAST.contains(&method) => return,
            _ => {}
        }
        let read = || serde_json::from_str::<Value>(params).unwrap_or_default();
        match method {
            "Target.attachedToTarget" if self.bind(id, place, &read()) => return,
            "Target.detachedFromTarget" => return self.unbind(id, place, read()),
            "Target.targetCreated" | "Target.targetDestroyed" if self.gated(id) => {
                return self.on_target(id, place, method, &read());
            }
            _ => {}
        }
        let Ok(params) = serde_json::from_str(params) else {
            return;
        };
        let text = Envelope {
            method: Some(method),
            session: place.as_ref().map(Down::as_str),
            params: Some(params),
            ..Envelope::default()
        };
        self.tell(id, text.text());
    }

    /// Takes a new session to its client; whether the client knows it already.
    fn bind(&mut self, id: ClientId, parent: &Place, params: &Value) -> bool {
        let (session, info) = (text_of(params, "sessionId"), &params["targetInfo"]);
        let (target, kind) = (text_of(info, "targetId"), text_of(info, "type"));
        let (up, down) = (Up::from(session), Down::from(session));
        let Some(known) = self.awaited(id, parent, target) else {
            let new = Session::new(
                Some(up.clone()),
                target,
                kind,
                false,
                parent.clone(),
                Stage::Live,
            );
            if let Some(client) = self.clients.get_mut(&id) {
                client.sessions.insert(Some(down.clone()), new);
            }
            self.owners.insert(up, (id, Some(down)));
            return false;
        };
        self.revive(id, &known, up);
        true
    }

    /// A session of the client's that has no counterpart yet, and gets it now.
    fn awaited(&self, id: ClientId, parent: &Place, target: &str) -> Option<Down> {
        let client = self.clients.get(&id)?;
        let explicit = matches!(client.sessions.get(parent)?.stage, Stage::Sessions { .. });
        let mut children = client.children(parent);
        children.sort();
        children.into_iter().find(|child| {
            let session = client.sessions.get(&Some(child.clone()));
            session.is_some_and(|session| {
                matches!(session.stage, Stage::Dormant)
                    && session.target == target
                    && session.explicit == explicit
            })
        })
    }

    pub(super) fn revive(&mut self, id: ClientId, down: &Down, up: Up) {
        let place = Some(down.clone());
        if let Some(session) = self.session(id, &place) {
            session.up = Some(up.clone());
        }
        self.owners.insert(up, (id, place.clone()));
        self.resume(id, &place);
    }

    /// A session has ended, with all within it.
    fn unbind(&mut self, id: ClientId, parent: &Place, mut params: Value) {
        let up = Up::from(text_of(&params, "sessionId"));
        let Some((owner, Some(down))) = self.owners.get(&up).cloned() else {
            return;
        };
        if owner != id {
            return;
        }
        params["sessionId"] = down.as_str().into();
        self.drop_subtree(id, &Some(down));
        self.tell_event(id, parent, "Target.detachedFromTarget", &params);
        self.check_back(id);
    }

    /// Forgets a session and all within it.
    pub(super) fn drop_subtree(&mut self, id: ClientId, place: &Place) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let gone = client.subtree(place);
        for place in &gone {
            if let Some(up) = client.sessions.remove(place).and_then(|session| session.up) {
                self.owners.remove(&up);
            }
        }
        self.pending.retain(|_, pending| match pending {
            // No answer comes from a session that has ended.
            Pending::Client {
                client: owner,
                place,
                ..
            } if *owner == id && gone.contains(place) => {
                client.in_flight = client.in_flight.saturating_sub(1);
                false
            }
            _ => true,
        });
    }

    /// Tells of each target once, however often it is discovered.
    fn on_target(&mut self, id: ClientId, place: &Place, method: &str, params: &Value) {
        let Some(session) = self.session(id, place) else {
            return;
        };
        if method == "Target.targetDestroyed" {
            session.targets.remove(text_of(params, "targetId"));
            return self.tell_event(id, place, method, params);
        }
        let target = text_of(&params["targetInfo"], "targetId").to_owned();
        let known = session.targets.insert(target, Seen::Now).is_some();
        let method = if known {
            "Target.targetInfoChanged"
        } else {
            method
        };
        self.tell_event(
            id,
            place,
            method,
            &json!({ "targetInfo": params["targetInfo"] }),
        );
    }

    pub(super) fn session(&mut self, id: ClientId, place: &Place) -> Option<&mut Session> {
        self.clients.get_mut(&id)?.sessions.get_mut(place)
    }
}
