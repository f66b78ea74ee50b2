//! A browser that knows sessions, pages and little else, and answers when it is told to.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::core::{ClientId, ClosedMode, Core, Output};

pub(super) struct Simulation {
    pub(super) core: Core,
    pub(super) pages: Vec<String>,
    /// Types and addresses of those of them that are no web pages.
    pub(super) own: BTreeMap<String, (&'static str, &'static str)>,
    /// What each client was sent.
    pub(super) inbox: BTreeMap<ClientId, Vec<Value>>,
    pub(super) disconnected: Vec<ClientId>,
    /// Commands that reached the browser.
    pub(super) sent: Vec<(String, Value)>,
    queue: VecDeque<Value>,
    sessions: BTreeMap<String, Session>,
    next: usize,
}

#[derive(Default)]
struct Session {
    parent: Option<String>,
    target: String,
    scripts: usize,
}

impl Simulation {
    pub(super) fn new(mode: ClosedMode, pages: &[&str]) -> Self {
        Self {
            core: Core::new(mode),
            own: BTreeMap::new(),
            pages: pages.iter().map(|page| (*page).to_owned()).collect(),
            inbox: BTreeMap::new(),
            disconnected: Vec::new(),
            sent: Vec::new(),
            queue: VecDeque::new(),
            sessions: BTreeMap::new(),
            next: 1,
        }
    }

    pub(super) fn call(
        &mut self,
        client: ClientId,
        id: i64,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) {
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        self.core.client_text(client, &command.to_string());
    }

    /// Until nobody has anything more to say.
    pub(super) fn run(&mut self) {
        self.drain();
        while !self.queue.is_empty() {
            self.browser_step();
            self.drain();
        }
    }

    /// Takes what the core has decided.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Browser(text) => self.queue.push_back(serde_json::from_str(&text).unwrap()),
                Output::Client(client, text) => {
                    let message = serde_json::from_str(&text).unwrap();
                    self.inbox.entry(client).or_default().push(message);
                }
                Output::Disconnect(client) => self.disconnected.push(client),
                Output::Closed | Output::Opened => {}
            }
        }
    }

    /// The browser takes one command.
    pub(super) fn browser_step(&mut self) {
        let Some(command) = self.queue.pop_front() else {
            return;
        };
        let session = command["sessionId"].as_str().map(ToOwned::to_owned);
        let method = command["method"].as_str().unwrap().to_owned();
        let params = command["params"].clone();
        self.sent.push((method.clone(), params.clone()));
        let known = session
            .as_ref()
            .is_none_or(|session| self.sessions.contains_key(session));
        let answer = if known {
            self.act(session.as_deref(), &method, &params)
        } else {
            None
        };
        let mut message = match answer {
            Some(mut result) => {
                if self.core.is_closed() {
                    result["secret"] = "CANARY".into();
                }
                json!({ "id": command["id"], "result": result })
            }
            None => json!({ "id": command["id"], "error": { "code": -32000, "message": "no" } }),
        };
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.core.browser_text(&message.to_string());
    }

    fn act(&mut self, session: Option<&str>, method: &str, params: &Value) -> Option<Value> {
        Some(match method {
            "Target.attachToBrowserTarget" => {
                json!({ "sessionId": self.attach(session, "browser", "browser") })
            }
            "Target.attachToTarget" => {
                let target = params["targetId"].as_str()?.to_owned();
                self.pages.contains(&target).then_some(())?;
                json!({ "sessionId": self.attach(session, &target, "page") })
            }
            "Target.setAutoAttach" => {
                for page in self.pages.clone() {
                    self.attach(session, &page, "page");
                }
                json!({})
            }
            "Target.getTargets" => {
                let infos = self.pages.iter().map(|page| self.info(page, "page"));
                json!({ "targetInfos": infos.collect::<Vec<_>>() })
            }
            "Target.getTargetInfo" => {
                json!({ "targetInfo": self.info(params["targetId"].as_str()?, "page") })
            }
            "Target.detachFromTarget" => {
                self.detach(params["sessionId"].as_str()?);
                json!({})
            }
            "Target.createBrowserContext" => json!({ "browserContextId": "C" }),
            "Page.getFrameTree" => {
                let target = &self.sessions.get(session?)?.target;
                json!({ "frameTree": { "frame": { "id": target, "url": "http://now/" } } })
            }
            "Page.addScriptToEvaluateOnNewDocument" => {
                let session = self.sessions.get_mut(session?)?;
                session.scripts += 1;
                json!({ "identifier": session.scripts.to_string() })
            }
            _ => json!({ "did": method }),
        })
    }

    fn attach(&mut self, parent: Option<&str>, target: &str, kind: &str) -> String {
        let id = format!("U{}", self.next);
        self.next += 1;
        let session = Session {
            parent: parent.map(ToOwned::to_owned),
            target: target.to_owned(),
            scripts: 0,
        };
        self.sessions.insert(id.clone(), session);
        let info = self.info(target, kind);
        self.event(
            parent,
            "Target.attachedToTarget",
            json!({ "sessionId": id, "targetInfo": info }),
        );
        id
    }

    pub(super) fn info(&self, target: &str, kind: &str) -> Value {
        let (kind, url) = self.own.get(target).copied().unwrap_or((kind, ""));
        json!({ "targetId": target, "type": kind, "url": url })
    }

    fn detach(&mut self, id: &str) {
        let children: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.parent.as_deref() == Some(id))
            .map(|(id, _)| id.clone())
            .collect();
        for child in children {
            self.detach(&child);
        }
        self.sessions.remove(id);
    }

    pub(super) fn event(&mut self, session: Option<&str>, method: &str, params: Value) {
        let mut event = json!({ "method": method, "params": params });
        if let Some(session) = session {
            event["sessionId"] = session.into();
        }
        self.core.browser_text(&event.to_string());
    }

    /// Some session has something to tell, to its owner alone.
    pub(super) fn emit(&mut self, at: usize) {
        let Some(session) = self.sessions.keys().nth(at).cloned() else {
            return;
        };
        let owner = self
            .core
            .owners
            .get(&session.as_str().into())
            .map(|owner| format!("{:?}", owner.0));
        let secret = if self.core.is_closed() { "CANARY" } else { "" };
        self.event(
            Some(&session),
            "Test.event",
            json!({ "owner": owner, "secret": secret }),
        );
    }

    /// The targets of the sessions that live.
    pub(super) fn attached_targets(&self) -> Vec<&str> {
        let sessions = self.sessions.values();
        sessions.map(|session| session.target.as_str()).collect()
    }

    /// Sessions that were attached for agents and live.
    pub(super) fn sessions_of_agents(&self) -> usize {
        self.core
            .owners
            .values()
            .filter(|(client, _)| self.core.is_gated(*client))
            .count()
            + self
                .sessions
                .keys()
                .filter(|id| !self.core.owners.contains_key(&id.as_str().into()))
                .count()
    }

    /// Sessions that a client was told of.
    pub(super) fn known_sessions(&self, client: ClientId) -> Vec<String> {
        let attached = self.events(client, "Target.attachedToTarget");
        attached
            .iter()
            .filter_map(|e| e["params"]["sessionId"].as_str().map(ToOwned::to_owned))
            .collect()
    }

    pub(super) fn events(&self, client: ClientId, method: &str) -> Vec<Value> {
        let inbox = self.inbox.get(&client).into_iter().flatten();
        inbox
            .filter(|message| message["method"] == method)
            .cloned()
            .collect()
    }

    pub(super) fn answers(&self, client: ClientId, id: i64) -> usize {
        let inbox = self.inbox.get(&client).into_iter().flatten();
        inbox.filter(|message| message["id"] == id).count()
    }

    pub(super) fn answer(&self, client: ClientId, id: i64) -> &Value {
        let mut inbox = self.inbox[&client].iter();
        inbox.find(|message| message["id"] == id).unwrap()
    }
}
