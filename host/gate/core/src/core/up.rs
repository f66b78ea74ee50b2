//! From a client to the browser.

use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{ClientId, Down, Held, Stage, State};
use super::message::{self, Message, parse, raw, text_of, value};
use super::{Core, MAX_HELD, MAX_HELD_BYTES, MAX_IN_FLIGHT, Mode, Output, Pending};

/// Commands that would give an agent, or a page, a way around the gate: refused always.
const NEVER: [&str; 6] = [
    // A page with this speaks CDP by itself.
    "Target.exposeDevToolsProtocol",
    // Sessions inside messages; flat ones do the same.
    "Target.sendMessageToTarget",
    // A DevTools window is a CDP client of its own.
    "Target.openDevTools",
    "Target.setRemoteLocations",
    // An extension sees every page, and stays.
    "Extensions.loadUnpacked",
    "PWA.install",
];

impl Core {
    /// A message from a client.
    pub fn client_text(&mut self, id: ClientId, text: &str) {
        let Some(message) = parse(text) else {
            let why = "Message must be a valid JSON object without duplicate keys";
            return self.tell(
                id,
                message::error(None, None, message::PARSE_ERROR, why, None),
            );
        };
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        match (client.state, self.mode) {
            (State::Live, _) => self.forward(id, &message),
            (State::Waiting, _) | (State::Shut, Mode::Hold) => self.hold(id, text, &message),
            (State::Shut, Mode::Reject) => {
                let why =
                    "authloop: the user has the browser; the gate is closed until the handoff ends";
                let data = self.data();
                self.refuse(id, &message, message::SERVER_ERROR, why, Some(data));
            }
        }
    }

    fn hold(&mut self, id: ClientId, text: &str, message: &Message<'_>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.held.len() >= MAX_HELD || client.held_bytes + text.len() > MAX_HELD_BYTES {
            let why = "authloop: the gate is closed and too many commands wait already";
            let data = self.data();
            return self.refuse(id, message, message::SERVER_ERROR, why, Some(data));
        }
        let place = message.session.as_deref().map(Down::from);
        let untold = client
            .sessions
            .get(&place)
            .is_some_and(|session| matches!(session.stage, Stage::Dormant | Stage::Frames { .. }));
        let old = client.state == State::Shut || (client.returning && untold);
        client.held_bytes += text.len();
        client.held.push_back(Held {
            text: text.to_owned(),
            old,
        });
    }

    /// Sends on what waited, in order.
    pub(super) fn release(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::Live;
        client.held_bytes = 0;
        let held = std::mem::take(&mut client.held);
        let late = std::mem::take(&mut client.late);
        client.returning = false;
        self.output
            .extend(late.into_iter().map(|text| Output::Client(id, text)));
        for Held { text, old } in held {
            match parse(&text) {
                Some(message) if old && names_old_context(message.params) => {
                    let why = "Cannot find context with specified id";
                    self.refuse(id, &message, message::SERVER_ERROR, why, None);
                }
                _ => self.client_text(id, &text),
            }
        }
        self.returned(id);
    }

    fn forward(&mut self, id: ClientId, message: &Message<'_>) {
        let (Some(number), Some(method)) = (message.id, message.method.as_deref()) else {
            let why = "Message must have integer 'id' and string 'method' properties";
            return self.refuse(id, message, message::PARSE_ERROR, why, None);
        };
        let gated = self.gated(id);
        if gated && let Some(why) = forbidden(method, message.params) {
            return self.refuse(id, message, message::SERVER_ERROR, why, None);
        }
        let place = message.session.as_deref().map(Down::from);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.in_flight >= MAX_IN_FLIGHT {
            let why = "authloop: too many commands wait for their answers";
            return self.refuse(id, message, message::SERVER_ERROR, why, None);
        }
        let up = client.sessions.get(&place).and_then(|s| s.up.clone());
        let Some(up) = up else {
            let why = "Session with given id not found.";
            return self.refuse(id, message, message::NO_SESSION, why, None);
        };
        client.in_flight += 1;
        let rewritten = self.rewritten(id, &place, method, message.params);
        let empty = raw(&Value::Object(serde_json::Map::new()));
        let params = rewritten.as_deref().or(message.params).unwrap_or(&empty);
        let pending = Pending::Client {
            client: id,
            id: number,
            place,
            method: method.to_owned(),
            params: message.params.map(ToOwned::to_owned),
        };
        self.command(Some(&up), method, params, pending);
    }

    /// Parameters that name things by the client's names, by the browser's.
    fn rewritten(
        &self,
        id: ClientId,
        place: &Option<Down>,
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
                let session = Some(Down::from(text_of(&params, "sessionId")));
                // Only sessions of its own: another's is unknown to it.
                let up = client.sessions.get(&session).and_then(|s| s.up.as_ref());
                params["sessionId"] = up.map_or("unknown", |up| up.as_str()).into();
            }
            "Target.createBrowserContext" if client.role.gated => {
                // Closing detaches, and must not take the user's page away.
                params.as_object_mut()?.remove("disposeOnDetach");
            }
            "Page.removeScriptToEvaluateOnNewDocument" => {
                let scripts = &client.sessions.get(place)?.scripts;
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
        self.tell(id, message::error(message.id, session, code, why, data));
    }
}

/// Contexts are numbered by renderers: after a closure an old number may mean another context.
fn names_old_context(params: Option<&RawValue>) -> bool {
    let names = [
        "contextId",
        "executionContextId",
        "uniqueContextId",
        "objectId",
    ];
    let params = value(params);
    names.iter().any(|name| !params[*name].is_null())
}

fn forbidden(method: &str, params: Option<&RawValue>) -> Option<&'static str> {
    if NEVER.contains(&method) {
        return Some("authloop: this would lead around the gate, and is never let through");
    }
    let attaches = match method {
        "Target.attachToTarget" => true,
        "Target.setAutoAttach" => value(params)["autoAttach"] == true,
        _ => false,
    };
    let flat = || value(params)["flatten"] == true;
    (attaches && !flat())
        .then_some("authloop: only flat sessions go through the gate; set flatten to true")
}
