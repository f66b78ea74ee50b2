//! Decides who is connected to one browser, and what may pass. See the crate's documentation.

mod agent_rules;
mod allowed_methods;
mod authorization;
mod client;
mod closing;
mod from_browser;
mod from_client;
mod message;
mod resume;
mod settings_journal;
mod targets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json, value::RawValue};

use client::{BrowserSessionId, Client, ClientSessionId, SessionScope, State};
use message::{Envelope, raw};

pub use agent_rules::{is_web_address, is_web_target};
pub use client::{ClientId, ClientRole, PreservedSetting};

/// Most commands of one client that may wait at the gate, and their size.
const MAX_QUEUED_COMMANDS: usize = 1024;
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// Most commands of one client that the browser may be busy with.
const MAX_COMMANDS_IN_FLIGHT: usize = 4096;

/// What agents get while the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClosedMode {
    /// Commands wait, and go on in order at the opening.
    #[default]
    Hold,
    /// Commands are answered at once, with an error that says why.
    Reject,
}

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the browser.
    Browser(String),
    /// Send this to a client.
    Client(ClientId, String),
    /// End a client's connection: what it was attached to is gone.
    Disconnect(ClientId),
    /// No gated client has a session any more.
    Closed,
    /// Every gated client goes on.
    Opened,
}

/// The gate before one browser.
pub struct Core {
    mode: ClosedMode,
    phase: Phase,
    next_id: i64,
    next_client: u64,
    clients: BTreeMap<ClientId, Client>,
    owners: BTreeMap<BrowserSessionId, (ClientId, SessionScope)>,
    pending: BTreeMap<i64, Pending>,
    /// Contexts whose client left while the user had the browser.
    orphaned_contexts: Vec<String>,
    /// Sessions with targets that agents may not have, which are being detached.
    refused_sessions: BTreeSet<BrowserSessionId>,
    files_folder: Option<String>,
    output: VecDeque<Output>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

enum Phase {
    Open,
    /// Commands of the gate's own in `unanswered` must be answered before the closing is announced.
    Closed {
        handoff: String,
        unanswered: BTreeSet<i64>,
        announced: bool,
    },
    /// Holds the clients that are not back yet.
    Opening(BTreeSet<ClientId>),
}

/// What an answer of the browser's is for.
enum Pending {
    Client {
        client: ClientId,
        id: i64,
        scope: SessionScope,
        method: String,
        params: Option<Box<RawValue>>,
    },
    Root(ClientId),
    Detach,
    Frames(ClientId, SessionScope),
    Worlds(ClientId, SessionScope),
    Setting(ClientId, SessionScope, Option<String>),
    Child(ClientId, SessionScope, ClientSessionId),
    Ignored,
}

impl Pending {
    fn client(&self) -> Option<ClientId> {
        match self {
            Self::Client { client, .. }
            | Self::Root(client)
            | Self::Frames(client, _)
            | Self::Worlds(client, _)
            | Self::Setting(client, ..)
            | Self::Child(client, ..) => Some(*client),
            Self::Detach | Self::Ignored => None,
        }
    }
}

impl Core {
    /// Makes an open gate without clients.
    pub fn new(mode: ClosedMode) -> Self {
        Self {
            mode,
            phase: Phase::Open,
            next_id: 1,
            next_client: 1,
            clients: BTreeMap::new(),
            owners: BTreeMap::new(),
            pending: BTreeMap::new(),
            orphaned_contexts: Vec::new(),
            refused_sessions: BTreeSet::new(),
            files_folder: None,
            output: VecDeque::new(),
        }
    }

    /// Names the folder, by its absolute path, that agents may have the browser read and write files
    /// in; without one, nowhere.
    pub fn with_files_folder(mut self, path: &str) -> Self {
        self.files_folder = Some(path.trim_end_matches('/').to_owned());
        self
    }

    /// Sets what agents get from the next closing on.
    pub fn set_mode(&mut self, mode: ClosedMode) {
        self.mode = mode;
    }

    /// Gives what the caller is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Whether gated clients are shut out.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// Admits a client.
    pub fn join(&mut self, role: ClientRole) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let shut = role.gated && self.is_closed();
        let state = if shut {
            State::Suspended
        } else {
            State::Attaching
        };
        self.clients.insert(id, Client::new(role, state));
        if !shut {
            self.attach_root(id);
        }
        id
    }

    /// Forgets a client that is gone.
    pub fn leave(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        if let Some(root) = client
            .sessions
            .get(&None)
            .and_then(|root| root.browser_session_id.as_ref())
        {
            self.detach(root.clone());
        }
        self.owners.retain(|_, (owner, _)| *owner != id);
        // A root that is being attached must still be detached.
        self.pending.retain(|_, pending| {
            matches!(pending, Pending::Root(_)) || pending.client() != Some(id)
        });
        // The user may be signing in there.
        if self.is_closed() {
            self.orphaned_contexts.extend(client.contexts);
        } else {
            for context in client.contexts {
                self.dispose_context(&context);
            }
        }
        self.on_client_resumed(id);
    }

    /// Lets gated clients go on. [`Output::Opened`] follows.
    pub fn open(&mut self) {
        if !self.is_closed() {
            return;
        }
        let shut: BTreeSet<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.state == State::Suspended)
            .map(|(id, _)| *id)
            .collect();
        self.phase = Phase::Opening(shut.clone());
        for context in std::mem::take(&mut self.orphaned_contexts) {
            self.dispose_context(&context);
        }
        for id in shut {
            if let Some(client) = self.clients.get_mut(&id) {
                client.state = State::Attaching;
                client.resuming = true;
            }
            self.attach_root(id);
        }
        self.check_opened();
    }

    fn is_gated(&self, id: ClientId) -> bool {
        self.clients
            .get(&id)
            .is_some_and(|client| client.role.gated)
    }

    /// Gives the `data` of the error that a refused client gets.
    fn error_data(&self) -> Value {
        match &self.phase {
            Phase::Closed { handoff, .. } => json!({ "session_id": handoff, "state": "closed" }),
            Phase::Open | Phase::Opening(_) => json!({ "state": "open" }),
        }
    }

    fn attach_root(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let (method, params) = match &client.role.page {
            Some(page) => (
                "Target.attachToTarget",
                json!({ "targetId": page, "flatten": true }),
            ),
            None => ("Target.attachToBrowserTarget", json!({})),
        };
        self.send_command(None, method, &raw(&params), Pending::Root(id));
    }

    fn detach(&mut self, session: BrowserSessionId) -> i64 {
        let params = json!({ "sessionId": session.as_str() });
        self.send_command(
            None,
            "Target.detachFromTarget",
            &raw(&params),
            Pending::Detach,
        )
    }

    fn dispose_context(&mut self, context: &str) {
        let params = json!({ "browserContextId": context });
        let method = "Target.disposeBrowserContext";
        self.send_command(None, method, &raw(&params), Pending::Ignored);
    }

    /// Sends a command to the browser; gives the number its answer will have.
    fn send_command(
        &mut self,
        session: Option<&BrowserSessionId>,
        method: &str,
        params: &RawValue,
        pending: Pending,
    ) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, pending);
        let text = Envelope {
            id: Some(id),
            method: Some(method),
            session: session.map(BrowserSessionId::as_str),
            params: Some(params),
            ..Envelope::default()
        };
        self.output.push_back(Output::Browser(text.text()));
        id
    }

    fn send_to_client(&mut self, client: ClientId, text: String) {
        self.output.push_back(Output::Client(client, text));
    }

    fn send_event(&mut self, client: ClientId, scope: &SessionScope, method: &str, params: &Value) {
        let session = scope.as_ref().map(ClientSessionId::as_str);
        self.send_to_client(client, message::event(session, method, params));
    }

    /// Notes that a client is back, or gone.
    fn on_client_resumed(&mut self, id: ClientId) {
        if let Phase::Opening(away) = &mut self.phase {
            away.remove(&id);
            self.check_opened();
        }
    }

    fn check_opened(&mut self) {
        if matches!(&self.phase, Phase::Opening(away) if away.is_empty()) {
            self.phase = Phase::Open;
            self.output.push_back(Output::Opened);
        }
    }
}
