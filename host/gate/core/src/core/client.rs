//! What the gate knows of one client: its sessions, by the client's names and the browser's.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::settings_journal::SettingsJournal;

/// Names one connection to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) u64);

/// What a client's connection speaks for, and whether the gate can close before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRole {
    /// An agent's connection, as opposed to the host's own.
    pub gated: bool,
    /// The page of a page socket; `None` for the browser.
    pub page: Option<String>,
}

/// A setting that stays in force while the gate is closed.
#[derive(Debug, Clone, PartialEq)]
pub struct PreservedSetting {
    /// The page it is made in.
    pub target: String,
    /// The CDP method that makes it.
    pub method: String,
    /// The method's parameters.
    pub params: Value,
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
    /// The browser's name for a session; another one after each closure.
    BrowserSessionId
}
session_id! {
    /// The client's name for a session, which stays the same for as long as the session lasts.
    ClientSessionId
}

/// One session of a client; `None` is the connection's own.
pub(super) type SessionScope = Option<ClientSessionId>;

/// The browser's ids of a session's scripts, by the ids that the client knows.
pub(super) type ScriptIds = BTreeMap<String, String>;

pub(super) struct Client {
    pub(super) role: ClientRole,
    pub(super) state: State,
    pub(super) sessions: BTreeMap<SessionScope, ClientSession>,
    /// Commands that wait for the gate, as they came.
    pub(super) queued: VecDeque<QueuedCommand>,
    pub(super) queued_bytes: usize,
    /// Answers to send at the opening.
    pub(super) deferred_answers: Vec<String>,
    /// Whether it is attaching again after a closure, not for the first time.
    pub(super) resuming: bool,
    /// Commands that the browser has not answered yet.
    pub(super) in_flight: usize,
    /// Browser contexts that live as long as this client.
    pub(super) contexts: Vec<String>,
}

/// A command that waits for the gate.
pub(super) struct QueuedCommand {
    pub(super) text: String,
    /// Whether it came before its client was told of the documents that are there now, so that the
    /// contexts it names are those of before the closing.
    pub(super) stale: bool,
}

/// Whether a client's messages pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its sessions are being made, for the first time or again; commands wait.
    Attaching,
    Live,
    /// The gate is closed: it has no session in the browser.
    Suspended,
}

pub(super) struct ClientSession {
    pub(super) browser_session_id: Option<BrowserSessionId>,
    pub(super) parent: SessionScope,
    pub(super) target: String,
    pub(super) kind: String,
    /// The client attached by itself, so that auto-attachment will not bring it back.
    pub(super) explicit: bool,
    pub(super) journal: SettingsJournal,
    pub(super) scripts: ScriptIds,
    pub(super) next_script: u64,
    /// Targets that the client was told of here.
    pub(super) targets: BTreeMap<String, TargetStatus>,
    /// Targets that it was not told of, because agents may not see them.
    pub(super) unseen_targets: BTreeSet<String>,
    pub(super) step: ResumeStep,
}

/// Whether a target was seen again since the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetStatus {
    Confirmed,
    Unconfirmed,
}

/// How far a session has come back since the opening.
#[derive(Debug)]
pub(super) enum ResumeStep {
    Live,
    /// It has no counterpart in the browser.
    Dormant,
    /// Events wait until the frames are known.
    Frames {
        events: Vec<(String, String)>,
    },
    /// Settings are being made again; `left` answers are missing.
    Settings {
        left: usize,
    },
    /// Sessions that the client made here are being made again; `left` answers are missing.
    Sessions {
        left: usize,
    },
}

impl Client {
    pub(super) fn new(role: ClientRole, state: State) -> Self {
        let (kind, target) = match &role.page {
            Some(page) => ("page", page.as_str()),
            None => ("browser", ""),
        };
        let root = ClientSession::new(None, target, kind, true, None, ResumeStep::Dormant);
        Self {
            role,
            state,
            sessions: BTreeMap::from([(None, root)]),
            queued: VecDeque::new(),
            queued_bytes: 0,
            deferred_answers: Vec::new(),
            resuming: false,
            in_flight: 0,
            contexts: Vec::new(),
        }
    }

    /// The sessions made within `scope`, by name.
    pub(super) fn children(&self, scope: &SessionScope) -> Vec<ClientSessionId> {
        let child = |(at, session): (&SessionScope, &ClientSession)| {
            at.clone().filter(|_| session.parent == *scope)
        };
        self.sessions.iter().filter_map(child).collect()
    }

    /// `scope` and all within it, outermost first.
    pub(super) fn subtree(&self, scope: &SessionScope) -> Vec<SessionScope> {
        let mut found = vec![scope.clone()];
        let mut next = 0;
        while let Some(at) = found.get(next).cloned() {
            found.extend(self.children(&at).into_iter().map(Some));
            next += 1;
        }
        found
    }

    /// Settings of its pages that stay while the gate is closed.
    pub(super) fn preserved_settings(&self) -> impl Iterator<Item = PreservedSetting> + '_ {
        let pages = self.sessions.values().filter(|s| s.kind == "page");
        pages.flat_map(|page| {
            page.journal.preserved().map(|entry| PreservedSetting {
                target: page.target.clone(),
                method: entry.method.clone(),
                params: serde_json::from_str(entry.params.get()).unwrap_or_default(),
            })
        })
    }
}

impl ClientSession {
    pub(super) fn new(
        browser_session_id: Option<BrowserSessionId>,
        target: &str,
        kind: &str,
        explicit: bool,
        parent: SessionScope,
        step: ResumeStep,
    ) -> Self {
        Self {
            browser_session_id,
            parent,
            target: target.to_owned(),
            kind: kind.to_owned(),
            explicit,
            journal: SettingsJournal::default(),
            scripts: ScriptIds::new(),
            next_script: 1,
            targets: BTreeMap::new(),
            unseen_targets: BTreeSet::new(),
            step,
        }
    }

    /// Documents, and what runs in them, are new after a closure; nothing of them comes back.
    pub(super) fn ends_with_document(&self) -> bool {
        matches!(self.kind.as_str(), "iframe" | "worker" | "worklet")
            || self.kind.ends_with("_worklet")
    }
}
