//! One session's course: a state machine without clock or tasks, in which the first end counts. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::VecDeque, sync::Arc};

use authloop_agent_api_types::{
    Notice, Outcome, Phase, Reason, RoomKind, RoomView, SessionView, Status, Verdict,
};
use authloop_done_when::{Conclusion, Finding};
use authloop_protocol::{input::DeclineReason, output};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    session_end::{RunError, SessionEnd},
    session_event::SessionState,
};

/// Events kept for clients that come back.
const MAX_KEPT_EVENTS: usize = 64;

/// What happened, for streams and webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Created,
    Phase,
    Claimed,
    Checked,
    Notice,
    Room,
    Resolved,
    Cancelled,
    Timeout,
    Error,
}

impl EventKind {
    /// The event's name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "session.created",
            Self::Phase => "session.phase",
            Self::Claimed => "session.claimed",
            Self::Checked => "session.checked",
            Self::Notice => "session.notice",
            Self::Room => "session.room",
            Self::Resolved => "session.resolved",
            Self::Cancelled => "session.cancelled",
            Self::Timeout => "session.timeout",
            Self::Error => "session.error",
        }
    }

    /// How the session ended, if this is the end.
    pub(super) fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Resolved => Some("resolved"),
            Self::Cancelled => Some("cancelled"),
            Self::Timeout => Some("timeout"),
            Self::Error => Some("error"),
            Self::Created
            | Self::Phase
            | Self::Claimed
            | Self::Checked
            | Self::Notice
            | Self::Room => None,
        }
    }

    /// Whether webhooks are told.
    pub(super) fn is_told(self) -> bool {
        !matches!(
            self,
            Self::Phase | Self::Checked | Self::Notice | Self::Room
        )
    }
}

/// An event and what the session was then.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: EventKind,
    pub(super) view: SessionView,
}

#[derive(Debug)]
pub(super) struct Session {
    view: SessionView,
    claimed: bool,
    events: VecDeque<Arc<Event>>,
}

impl Session {
    /// A session whose link has just been made.
    pub(super) fn new(
        session_id: String,
        service: String,
        context: Option<Value>,
        room: RoomView,
        created_at: OffsetDateTime,
        ttl: std::time::Duration,
    ) -> Self {
        let mut session = Self {
            view: SessionView {
                session_id,
                status: Status::Pending,
                phase: Phase::Waiting,
                service,
                created_at,
                expires_at: created_at + ttl,
                context,
                version: 0,
                outcome: None,
                cookies: None,
                notices: Vec::new(),
                room,
            },
            claimed: false,
            events: VecDeque::new(),
        };
        session.note(EventKind::Created);
        session
    }

    pub(super) fn view(&self) -> &SessionView {
        &self.view
    }

    /// The events after `version` that are still kept, oldest first.
    pub(super) fn events_after(&self, version: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.events
            .iter()
            .filter(move |event| event.view.version > version)
    }

    /// Takes a state of the handoff. `None` if nothing changed.
    pub(super) fn enter(&mut self, state: SessionState) -> Option<Arc<Event>> {
        let phase = match state {
            SessionState::Waiting => Phase::Waiting,
            SessionState::Claimed => Phase::Claimed,
            SessionState::Connecting => Phase::Connecting,
            SessionState::Live => Phase::Live,
            SessionState::Reconnecting => Phase::Reconnecting,
            SessionState::Checking => Phase::Checking,
        };
        if self.view.status.is_terminal() || self.view.phase == phase {
            return None;
        }
        let was = std::mem::replace(&mut self.view.phase, phase);
        let claims = phase != Phase::Waiting && !std::mem::replace(&mut self.claimed, true);
        if claims {
            self.view.status = Status::Active;
        }
        Some(self.note(match (claims, was) {
            (true, _) => EventKind::Claimed,
            (false, Phase::Checking) => EventKind::Checked,
            (false, _) => EventKind::Phase,
        }))
    }

    /// Takes the room that the user signs in in from now on. `None` if it is the same, or if it is over.
    pub(super) fn change_room(&mut self, room: RoomView) -> Option<Arc<Event>> {
        if self.view.status.is_terminal() || self.view.room == room {
            return None;
        }
        self.view.room = room;
        Some(self.note(EventKind::Room))
    }

    /// Takes what the agent may want to know. `None` if it knows, or if it is over.
    pub(super) fn notice(&mut self, notice: Notice) -> Option<Arc<Event>> {
        // A page in a private room says nothing to the agent: it could tell what was typed.
        let private = self.view.room.room == RoomKind::Private;
        if self.view.status.is_terminal() || private || self.view.notices.contains(&notice) {
            return None;
        }
        self.view.notices.push(notice);
        Some(self.note(EventKind::Notice))
    }

    /// Takes the end. `None` if it has ended before.
    pub(super) fn end(&mut self, end: &Result<SessionEnd, RunError>) -> Option<Arc<Event>> {
        let (status, reason, message, finding) = match end {
            Ok(SessionEnd::Resolved { conclusion, .. }) => {
                let (reason, message, finding) = concluded(conclusion);
                (Status::Resolved, reason, message.to_owned(), finding)
            }
            Ok(SessionEnd::NotMoved { conclusion }) => (
                Status::Resolved,
                Reason::SessionDidNotMove,
                "The user is done, but the agent's browser does not show the sign-in.".to_owned(),
                concluded(conclusion).2,
            ),
            Ok(SessionEnd::Declined(reason)) => {
                let passkey = self.view.notices.contains(&Notice::PasskeyRequired);
                let (reason, message) = declined(*reason, passkey);
                (Status::Cancelled, reason, message.to_owned(), None)
            }
            Ok(SessionEnd::Expired) => (
                Status::Timeout,
                Reason::Expired,
                "Nobody finished it in time.".to_owned(),
                None,
            ),
            Ok(SessionEnd::Cancelled) => (
                Status::Cancelled,
                Reason::Cancelled,
                "It was withdrawn.".to_owned(),
                None,
            ),
            Err(error) => (Status::Error, broken(error), error.to_string(), None),
        };
        if self.view.status.is_terminal() {
            return None;
        }
        self.view.status = status;
        self.view.phase = Phase::Ended;
        self.view.cookies = match end {
            Ok(SessionEnd::Resolved { cookies, .. }) => Some(*cookies),
            Ok(SessionEnd::NotMoved { .. }) => Some(0),
            _ => None,
        };
        self.view.outcome = Some(Outcome {
            verdict: match reason {
                Reason::ConditionMet => Verdict::SignedIn,
                Reason::FinishedAnyway
                | Reason::Declined
                | Reason::NotRequested
                | Reason::CannotComplete
                | Reason::PasskeyRequired
                | Reason::Cancelled
                | Reason::Expired => Verdict::NotSignedIn,
                // Whatever the check says, what has not moved is not there.
                Reason::SessionDidNotMove => match finding.map(|f| f.verdict) {
                    Some(output::Verdict::NotSignedIn) => Verdict::NotSignedIn,
                    _ => Verdict::Inconclusive,
                },
                Reason::NotCheckable
                | Reason::NoCondition
                | Reason::AgentResolved
                | Reason::BrowserLost
                | Reason::SignalingLost
                | Reason::RoomUnavailable
                | Reason::Internal => Verdict::Inconclusive,
            },
            reason,
            message,
            evidence: finding.map(|f| f.evidence.clone()).unwrap_or_default(),
        });
        Some(self.note(match status {
            Status::Resolved => EventKind::Resolved,
            Status::Cancelled => EventKind::Cancelled,
            Status::Timeout => EventKind::Timeout,
            Status::Pending | Status::Active | Status::Error => EventKind::Error,
        }))
    }

    fn note(&mut self, kind: EventKind) -> Arc<Event> {
        self.view.version += 1;
        let event = Arc::new(Event {
            kind,
            view: self.view.clone(),
        });
        if self.events.len() == MAX_KEPT_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Arc::clone(&event));
        event
    }
}

fn concluded(conclusion: &Conclusion) -> (Reason, &'static str, Option<&Finding>) {
    match conclusion {
        Conclusion::Checked(finding) => match finding.verdict {
            output::Verdict::SignedIn => (
                Reason::ConditionMet,
                "The browser shows that the user is signed in.",
                Some(finding),
            ),
            output::Verdict::NotSignedIn | output::Verdict::Inconclusive => (
                Reason::NotCheckable,
                "The user is done, but the browser did not answer the check.",
                Some(finding),
            ),
        },
        Conclusion::UserOverride(finding) => (
            Reason::FinishedAnyway,
            "The browser does not show that the user is signed in; they finished anyway.",
            Some(finding),
        ),
        Conclusion::Unchecked => (
            Reason::NoCondition,
            "The user is done. There was nothing to check.",
            None,
        ),
        Conclusion::Agent => (
            Reason::AgentResolved,
            "The agent said that it is done.",
            None,
        ),
    }
}

/// `passkey`: the page has asked for one.
fn declined(reason: DeclineReason, passkey: bool) -> (Reason, &'static str) {
    match reason {
        DeclineReason::Declined => (Reason::Declined, "The user declined."),
        DeclineReason::NotRequested => (
            Reason::NotRequested,
            "The user did not ask for this: perhaps an attack.",
        ),
        DeclineReason::CannotComplete if passkey => (
            Reason::PasskeyRequired,
            "The page asks for a passkey, and the user found no other way to sign in.",
        ),
        DeclineReason::CannotComplete => {
            (Reason::CannotComplete, "The user cannot sign in this way.")
        }
    }
}

fn broken(error: &RunError) -> Reason {
    match error {
        RunError::Browser(_) => Reason::BrowserLost,
        RunError::Signaling(_) => Reason::SignalingLost,
        RunError::Room(_) => Reason::RoomUnavailable,
        RunError::Grants(_) | RunError::Order(_) | RunError::Internal(_) => Reason::Internal,
    }
}

#[cfg(test)]
mod tests;
