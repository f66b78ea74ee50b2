//! From a client to the browser.

use serde_json::{Value, value::RawValue};

use super::{
    ClosedMode, Core, MAX_COMMANDS_IN_FLIGHT, MAX_QUEUED_BYTES, MAX_QUEUED_COMMANDS, Output,
    Pending, agent_rules,
    client::{BrowserSessionId, ClientId, ClientSessionId, QueuedCommand, ResumeStep, State},
    message::{self, Message, parse, raw, text_of, value},
};

impl Core {
    /// A message from a client.
    pub fn client_text(&mut self, id: ClientId, text: &str) {
        let Some(message) = parse(text) else {
            let why = "Message must be a valid JSON object without duplicate keys";
            return self.send_to_client(
                id,
                message::error(None, None, message::PARSE_ERROR, why, None),
            );
        };
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        match (client.state, self.mode) {
            (State::Live, _) => self.forward(id, &message),
            (State::Attaching, _) | (State::Suspended, ClosedMode::Hold) => {
                self.queue_command(id, text, &message)
            }
            (State::Suspended, ClosedMode::Reject) => {
                let why =
                    "authloop: the user has the browser; the gate is closed until the handoff ends";
                let data = self.error_data();
                self.refuse(id, &message, message::SERVER_ERROR, why, Some(data));
            }
        }
    }

    fn queue_command(&mut self, id: ClientId, text: &str, message: &Message<'_>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.queued.len() >= MAX_QUEUED_COMMANDS
            || client.queued_bytes + text.len() > MAX_QUEUED_BYTES
        {
            let why = "authloop: the gate is closed and too many commands wait already";
            let data = self.error_data();
            return self.refuse(id, message, message::SERVER_ERROR, why, Some(data));
        }
        let scope = message.session.as_deref().map(ClientSessionId::from);
        let documents_unknown = client.sessions.get(&scope).is_some_and(|session| {
            matches!(
                session.step,
                ResumeStep::Dormant | ResumeStep::Frames { .. }
            )
        });
        let stale = client.state == State::Suspended || (client.resuming && documents_unknown);
        client.queued_bytes += text.len();
        client.queued.push_back(QueuedCommand {
            text: text.to_owned(),
            stale,
        });
    }

    /// Lets a client's messages pass, beginning with those that waited, in order.
    pub(super) fn go_live(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::Live;
        client.queued_bytes = 0;
        let queued = std::mem::take(&mut client.queued);
        let deferred_answers = std::mem::take(&mut client.deferred_answers);
        client.resuming = false;
        self.output.extend(
            deferred_answers
                .into_iter()
                .map(|text| Output::Client(id, text)),
        );
        for QueuedCommand { text, stale } in queued {
            match parse(&text) {
                Some(message) if stale && names_context(message.params) => {
                    let why = "Cannot find context with specified id";
                    self.refuse(id, &message, message::SERVER_ERROR, why, None);
                }
                _ => self.client_text(id, &text),
            }
        }
        self.on_client_resumed(id);
    }

    fn forward(&mut self, id: ClientId, message: &Message<'_>) {
        let (Some(number), Some(method)) = (message.id, message.method.as_deref()) else {
            let why = "Message must have integer 'id' and string 'method' properties";
            return self.refuse(id, message, message::PARSE_ERROR, why, None);
        };
        let admitted = if self.is_gated(id) {
            agent_rules::admit(method, message.params, self.files_folder.as_deref()).map(Some)
        } else {
            Ok(None)
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(why) => return self.refuse(id, message, message::SERVER_ERROR, &why, None),
        };
        let params = admitted.as_deref().or(message.params);
        let scope = message.session.as_deref().map(ClientSessionId::from);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.in_flight >= MAX_COMMANDS_IN_FLIGHT {
            let why = "authloop: too many commands wait for their answers";
            return self.refuse(id, message, message::SERVER_ERROR, why, None);
        }
        let browser_session_id = client
            .sessions
            .get(&scope)
            .and_then(|s| s.browser_session_id.clone());
        let Some(browser_session_id) = browser_session_id else {
            let why = "Session with given id not found.";
            return self.refuse(id, message, message::NO_SESSION, why, None);
        };
        client.in_flight += 1;
        let rewritten = self.rewrite_params(id, &scope, method, params);
        let empty = raw(&Value::Object(serde_json::Map::new()));
        let sent = rewritten.as_deref().or(params).unwrap_or(&empty);
        let pending = Pending::Client {
            client: id,
            id: number,
            scope,
            method: method.to_owned(),
            params: params.map(ToOwned::to_owned),
        };
        self.send_command(Some(&browser_session_id), method, sent, pending);
    }

    /// Replaces the client's names in a command's parameters by the browser's; `None` if there are none.
    fn rewrite_params(
        &self,
        id: ClientId,
        scope: &Option<ClientSessionId>,
        method: &str,
        params: Option<&RawValue>,
    ) -> Option<Box<RawValue>> {
        let client = self.clients.get(&id)?;
        let mut params = match method {
            "Target.detachFromTarget"
            | "Target.createBrowserContext"
            | "Page.removeScriptToEvaluateOnNewDocument" => value(params),
            _ => return None,
        };
        match method {
            "Target.detachFromTarget" => {
                let session = Some(ClientSessionId::from(text_of(&params, "sessionId")));
                // Only sessions of its own: another's is unknown to it.
                let browser_session_id = client
                    .sessions
                    .get(&session)
                    .and_then(|s| s.browser_session_id.as_ref());
                params["sessionId"] = browser_session_id
                    .map_or("unknown", BrowserSessionId::as_str)
                    .into();
            }
            "Target.createBrowserContext" if client.role.gated => {
                // Closing detaches, and must not take the user's page away.
                params.as_object_mut()?.remove("disposeOnDetach");
            }
            "Page.removeScriptToEvaluateOnNewDocument" => {
                let scripts = &client.sessions.get(scope)?.scripts;
                let known = scripts.get(text_of(&params, "identifier"))?;
                params["identifier"] = known.as_str().into();
            }
            _ => return None,
        }
        Some(raw(&params))
    }

    fn refuse(
        &mut self,
        id: ClientId,
        message: &Message<'_>,
        code: i64,
        why: &str,
        data: Option<Value>,
    ) {
        let session = message.session.as_deref();
        self.send_to_client(id, message::error(message.id, session, code, why, data));
    }
}

/// Contexts are numbered by renderers: after a closure an old number may mean another context.
fn names_context(params: Option<&RawValue>) -> bool {
    let names = [
        "contextId",
        "executionContextId",
        "uniqueContextId",
        "objectId",
    ];
    let params = value(params);
    names.iter().any(|name| !params[*name].is_null())
}
