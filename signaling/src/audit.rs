//! What an audit log keeps of signaling.

use authloop_protocol::{
    id::SessionId,
    signal::{Outcome, WallType},
};
use serde::Serialize;

/// Something that the operator of a server may have to show later. It holds no address, token,
/// key, reason or origin; a session's id is no secret (`GET /v1/sessions/{id}` takes it from anyone)
/// and opens nothing, and is what the logs of server, host and agent have in common. `key` is the
/// name of an API key, for one that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// A host registered a session.
    SessionRegistered {
        /// Its id.
        session: SessionId,
        /// With which key.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// When it ends by itself, Unix seconds.
        expires_at: u64,
        /// Whether it came back claimed, after the server had forgotten it.
        claimed: bool,
        /// What kind of wall its host named.
        #[serde(skip_serializing_if = "Option::is_none")]
        wall_type: Option<WallType>,
    },
    /// A registration was refused.
    RegistrationRefused {
        /// With which key.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The code of the error's body.
        code: &'static str,
    },
    /// A device won a session.
    SessionClaimed {
        /// Its id.
        session: SessionId,
    },
    /// Another device tried a claimed session's link and got nothing.
    ClaimRefused {
        /// The session's id.
        session: SessionId,
    },
    /// Another device asked the one that has the session for it.
    TakeoverAsked {
        /// The session's id.
        session: SessionId,
    },
    /// The device that has the session kept it.
    TakeoverRefused {
        /// The session's id.
        session: SessionId,
    },
    /// The device that had the session gave it to another one.
    SessionTakenOver {
        /// Its id.
        session: SessionId,
    },
    /// This server took a session over from another one of its group.
    SessionMoved {
        /// Its id.
        session: SessionId,
        /// How often it has changed its server, from 1.
        epoch: u64,
    },
    /// An API key that may end sessions asked for the end of this one.
    EndRequested {
        /// Its id.
        session: SessionId,
        /// With which key.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A session ended.
    SessionEnded {
        /// Its id.
        session: SessionId,
        /// How.
        outcome: Outcome,
    },
}

impl AuditEvent {
    /// Whether anyone can cause as many of these as they like: a log may leave some out.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::RegistrationRefused { .. }
                | Self::ClaimRefused { .. }
                | Self::TakeoverAsked { .. }
        )
    }
}
