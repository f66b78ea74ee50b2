//! What the gate knows of one client: its sessions, by the client's names and the browser's.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::journal::Journal;
use super::message::Names;

/// One connection to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) u64);

/// What a client's connection speaks for, and whether the gate can close before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// An agent's connection, as opposed to the host's own.
    pub gated: bool,
    /// The page of a page socket; `None` for the browser.
    pub page: Option<String>,
}

macro_rules! session_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) struct $name(Arc<str>);

        impl $name {
            pub(super) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

session_id! {
    /// A session as the browser names it; another one after each closure.
    Up
}
session_id! {
    /// A session as the client names it, for as long as it lasts.
    Down
}

/// A session of a client; `None` is the connection's own.
pub(super) type Place = Option<Down>;

pub(super) struct Client {
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) sessions: BTreeMap<Place, Session>,
    /// Commands that wait for the gate, as they came.
    pub(super) held: VecDeque<Held>,
    pub(super) held_bytes: usize,
    /// Answers that wait for the opening.
    pub(super) late: Vec<String>,
    /// It waits because the gate was closed.
    pub(super) returning: bool,
    /// Commands in flight.
    pub(super) in_flight: usize,
    /// Browser contexts that live as long as this client.
    pub(super) contexts: Vec<String>,
}

/// A command that waits for the gate.
pub(super) struct Held {
    pub(super) text: String,
    /// It came before its client was told of the documents that are there now, so the contexts it
    /// names are those of before the closing.
    pub(super) old: bool,
}

/// Whether a client's messages pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its sessions are being made, for the first time or again; commands wait.
    Waiting,
    Live,
    /// The gate is closed: it has no session in the browser.
    Shut,
}

pub(super) struct Session {
    pub(super) up: Option<Up>,
    pub(super) parent: Place,
    pub(super) target: String,
    pub(super) kind: String,
    /// The client attached by itself, so that auto-attachment will not bring it back.
    pub(super) explicit: bool,
    pub(super) journal: Journal,
    /// The client's names of its scripts, and the browser's.
    pub(super) scripts: Names,
    pub(super) next_script: u64,
    /// Targets that the client was told of here.
    pub(super) targets: BTreeMap<String, Seen>,
    pub(super) stage: Stage,
}

/// Whether a target was seen again since the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Now,
    Before,
}

/// How far a session is in coming back.
#[derive(Debug)]
pub(super) enum Stage {
    Live,
    /// It has no counterpart in the browser.
    Dormant,
    /// Events wait until the frames are known.
    Frames {
        events: Vec<(String, String)>,
    },
    /// Settings are being made again; so many answers are missing.
    Settings {
        left: usize,
    },
    /// Sessions that the client made here are being made again.
    Sessions {
        left: usize,
    },
}

impl Client {
    pub(super) fn new(role: Role, state: State) -> Self {
        let (kind, target) = match &role.page {
            Some(page) => ("page", page.as_str()),
            None => ("browser", ""),
        };
        let root = Session::new(None, target, kind, true, None, Stage::Dormant);
        Self {
            role,
            state,
            sessions: BTreeMap::from([(None, root)]),
            held: VecDeque::new(),
            held_bytes: 0,
            late: Vec::new(),
            returning: false,
            in_flight: 0,
            contexts: Vec::new(),
        }
    }

    /// The sessions made within `place`, by name.
    pub(super) fn children(&self, place: &Place) -> Vec<Down> {
        let child =
            |(at, session): (&Place, &Session)| at.clone().filter(|_| session.parent == *place);
        self.sessions.iter().filter_map(child).collect()
    }

    /// `place` and all within it, outermost first.
    pub(super) fn subtree(&self, place: &Place) -> Vec<Place> {
        let mut found = vec![place.clone()];
        let mut next = 0;
        while let Some(at) = found.get(next).cloned() {
            found.extend(self.children(&at).into_iter().map(Some));
            next += 1;
        }
        found
    }

    /// Settings of its pages that stay while the gate is closed.
    pub(super) fn kept(&self) -> impl Iterator<Item = (String, String, Value)> + '_ {
        let pages = self.sessions.values().filter(|s| s.kind == "page");
        pages.flat_map(|page| {
            page.journal.kept().map(|entry| {
                let params = serde_json::from_str(entry.params.get()).unwrap_or_default();
                (page.target.clone(), entry.method.clone(), params)
            })
        })
    }
}

impl Session {
    pub(super) fn new(
        up: Option<Up>,
        target: &str,
        kind: &str,
        explicit: bool,
        parent: Place,
        stage: Stage,
    ) -> Self {
        Self {
            up,
            parent,
            target: target.to_owned(),
            kind: kind.to_owned(),
            explicit,
            journal: Journal::default(),
            scripts: Names::new(),
            next_script: 1,
            targets: BTreeMap::new(),
            stage,
        }
    }

    /// Documents, and what runs in them, are new after a closure; nothing of them comes back.
    pub(super) fn ends_with_document(&self) -> bool {
        matches!(self.kind.as_str(), "iframe" | "worker" | "worklet")
            || self.kind.ends_with("_worklet")
    }
}
