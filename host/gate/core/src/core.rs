//! The gate before one browser: who is connected, and what may pass. See the crate's documentation.

mod client;
mod down;
mod journal;
mod message;
mod resume;
#[cfg(test)]
mod tests;
mod up;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use client::{Client, Down, Place, Stage, State, Up};
use message::{Envelope, raw};

pub use client::{ClientId, Role};

/// Commands that one client may have waiting at the gate, and their size.
const MAX_HELD: usize = 1024;
const MAX_HELD_BYTES: usize = 8 << 20;
/// Commands of one client that the browser may be busy with.
const MAX_IN_FLIGHT: usize = 4096;

/// What agents get while the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Commands wait, and go on in order at the opening.
    #[default]
    Hold,
    /// Commands are answered at once, with an error that says why.
    Reject,
}

/// What is to be done.
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

/// A setting that stays in force while the gate is closed: target, method, parameters.
pub type Kept = (String, String, Value);

/// The gate before one browser.
pub struct Core {
    mode: Mode,
    phase: Phase,
    next_id: i64,
    next_client: u64,
    clients: BTreeMap<ClientId, Client>,
    owners: BTreeMap<Up, (ClientId, Place)>,
    pending: BTreeMap<i64, Pending>,
    /// Contexts whose client left while the user had the browser.
    orphans: Vec<String>,
    output: VecDeque<Output>,
}

enum Phase {
    Open,
    /// `waiting`: the gate's own commands that must be answered first.
    Closed {
        handoff: String,
        waiting: BTreeSet<i64>,
        told: bool,
    },
    /// Clients that are not back yet.
    Opening(BTreeSet<ClientId>),
}

/// Who waits for an answer of the browser's.
enum Pending {
    Client {
        client: ClientId,
        id: i64,
        place: Place,
        method: String,
        params: Option<Box<RawValue>>,
    },
    Root(ClientId),
    Detach,
    Frames(ClientId, Place),
    Worlds(ClientId, Place),
    Setting(ClientId, Place, Option<String>),
    Child(ClientId, Place, Down),
    Nobody,
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
            Self::Detach | Self::Nobody => None,
        }
    }
}

impl Core {
    /// An open gate without clients.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            phase: Phase::Open,
            next_id: 1,
            next_client: 1,
            clients: BTreeMap::new(),
            owners: BTreeMap::new(),
            pending: BTreeMap::new(),
            orphans: Vec::new(),
            output: VecDeque::new(),
        }
    }

    /// What agents get from the next closing on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Whether gated clients are shut out.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// A client connects.
    pub fn join(&mut self, role: Role) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let shut = role.gated && self.is_closed();
        let state = if shut { State::Shut } else { State::Waiting };
        self.clients.insert(id, Client::new(role, state));
        if !shut {
            self.attach_root(id);
        }
        id
    }

    /// A client is gone.
    pub fn leave(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        if let Some(root) = client.sessions.get(&None).and_then(|root| root.up.as_ref()) {
            self.detach(root.clone());
        }
        self.owners.retain(|_, (owner, _)| *owner != id);
        // A root that is being attached must still be detached.
        self.pending.retain(|_, pending| {
            matches!(pending, Pending::Root(_)) || pending.client() != Some(id)
        });
        // The user may be signing in there.
        if self.is_closed() {
            self.orphans.extend(client.contexts);
        } else {
            for context in client.contexts {
                self.dispose(&context);
            }
        }
        self.returned(id);
    }

    /// Shuts every gated client out, in favour of the handoff so named. [`Output::Closed`] follows.
    ///
    /// Returns the settings to keep in force meanwhile.
    pub fn close(&mut self, handoff: &str) -> Vec<Kept> {
        if self.is_closed() {
            return Vec::new();
        }
        // Roots that are still being attached are detached as soon as they are.
        let roots = self
            .pending
            .iter()
            .filter_map(|(id, pending)| match pending {
                Pending::Root(client) if self.gated(*client) => Some(*id),
                _ => None,
            });
        self.phase = Phase::Closed {
            handoff: handoff.to_owned(),
            waiting: roots.collect(),
            told: false,
        };
        let gated: Vec<ClientId> = self
            .clients
            .keys()
            .copied()
            .filter(|id| self.gated(*id))
            .collect();
        let mut kept = Vec::new();
        for id in gated {
            self.give_up_answers(id);
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            kept.extend(client.kept());
            client.state = State::Shut;
            let mut root = None;
            for (place, session) in &mut client.sessions {
                let up = session.up.take();
                if place.is_none() {
                    root = up;
                }
                session.stage = Stage::Dormant;
            }
            self.owners.retain(|_, (owner, _)| *owner != id);
            if let Some(root) = root {
                let id = self.detach(root);
                self.wait_for(id);
            }
        }
        self.check_closed();
        kept
    }

    /// Lets gated clients go on. [`Output::Opened`] follows.
    pub fn open(&mut self) {
        if !self.is_closed() {
            return;
        }
        let shut: BTreeSet<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.state == State::Shut)
            .map(|(id, _)| *id)
            .collect();
        self.phase = Phase::Opening(shut.clone());
        for context in std::mem::take(&mut self.orphans) {
            self.dispose(&context);
        }
        for id in shut {
            if let Some(client) = self.clients.get_mut(&id) {
                client.state = State::Waiting;
                client.returning = true;
            }
            self.attach_root(id);
        }
        self.check_opened();
    }

    fn gated(&self, id: ClientId) -> bool {
        self.clients
            .get(&id)
            .is_some_and(|client| client.role.gated)
    }

    /// Answers of commands in flight would tell of the page as the user has it.
    fn give_up_answers(&mut self, id: ClientId) {
        let mut lost: Vec<(i64, Place)> = Vec::new();
        self.pending.retain(|_, pending| match pending {
            Pending::Client {
                client,
                id: answer,
                place,
                ..
            } if *client == id => {
                lost.push((*answer, place.clone()));
                false
            }
            Pending::Root(_) => true,
            other => other.client() != Some(id),
        });
        lost.sort();
        let data = self.data();
        // Clients know the end of this sentence, and try again.
        let message = "authloop: the user took the browser. Inspected target navigated or closed";
        let answers = lost.into_iter().map(|(id, place)| {
            let session = place.as_ref().map(Down::as_str);
            message::error(
                Some(id),
                session,
                message::SERVER_ERROR,
                message,
                Some(data.clone()),
            )
        });
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.in_flight = 0;
        match self.mode {
            Mode::Hold => client.late.extend(answers),
            Mode::Reject => self
                .output
                .extend(answers.map(|text| Output::Client(id, text))),
        }
    }

    /// What a refused client is told besides.
    fn data(&self) -> Value {
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
        self.command(None, method, &raw(&params), Pending::Root(id));
    }

    fn detach(&mut self, session: Up) -> i64 {
        let params = json!({ "sessionId": session.as_str() });
        self.command(
            None,
            "Target.detachFromTarget",
            &raw(&params),
            Pending::Detach,
        )
    }

    fn dispose(&mut self, context: &str) {
        let params = json!({ "browserContextId": context });
        let method = "Target.disposeBrowserContext";
        self.command(None, method, &raw(&params), Pending::Nobody);
    }

    /// Sends a command to the browser; gives the number its answer will have.
    fn command(
        &mut self,
        session: Option<&Up>,
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
            session: session.map(Up::as_str),
            params: Some(params),
            ..Envelope::default()
        };
        self.output.push_back(Output::Browser(text.text()));
        id
    }

    fn tell(&mut self, client: ClientId, text: String) {
        self.output.push_back(Output::Client(client, text));
    }

    fn tell_event(&mut self, client: ClientId, place: &Place, method: &str, params: &Value) {
        let session = place.as_ref().map(Down::as_str);
        self.tell(client, message::event(session, method, params));
    }

    /// The closing waits for this answer too.
    fn wait_for(&mut self, id: i64) {
        if let Phase::Closed { waiting, .. } = &mut self.phase {
            waiting.insert(id);
        }
    }

    fn check_closed(&mut self) {
        if let Phase::Closed { waiting, told, .. } = &mut self.phase
            && waiting.is_empty()
            && !*told
        {
            *told = true;
            self.output.push_back(Output::Closed);
        }
    }

    /// The client is back, or gone.
    fn returned(&mut self, id: ClientId) {
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
