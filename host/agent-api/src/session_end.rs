//! How a runner ends a session, or fails to.

use authloop_done_when::Conclusion;
use authloop_protocol::input::DeclineReason;
use secrecy::SecretString;

/// How a session ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// The user or the agent is done.
    Resolved {
        /// How many cookies the browser holds.
        cookies: usize,
        /// Playwright's storage state as JSON, if it was asked for and could be read.
        storage_state: Option<SecretString>,
        /// How it is known.
        conclusion: Conclusion,
    },
    /// The user is done in a private room, and the agent's browser does not show the sign-in.
    NotMoved {
        /// What the agent's browser showed.
        conclusion: Conclusion,
    },
    /// The user refused.
    Declined(DeclineReason),
    /// Nobody finished it in time.
    Expired,
    /// It was withdrawn.
    Cancelled,
}

/// Why a session broke, in words that name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The browser cannot be reached, or is gone.
    #[error("{0}")]
    Browser(String),
    /// The server cannot be reached, or refused.
    #[error("{0}")]
    Signaling(String),
    /// There is no private room: no browser for one, or all are taken.
    #[error("{0}")]
    Room(String),
    /// There is no site to grant, or not the one that was asked for.
    #[error("{0}")]
    Grants(String),
    /// The request cannot be carried out.
    #[error("{0}")]
    Order(String),
    /// Anything else.
    #[error("{0}")]
    Internal(String),
}

impl RunError {
    /// What broke, in a word.
    pub(super) fn at(&self) -> &'static str {
        match self {
            Self::Browser(_) => "browser",
            Self::Signaling(_) => "signaling",
            Self::Room(_) => "room",
            Self::Grants(_) | Self::Order(_) => "order",
            Self::Internal(_) => "host",
        }
    }
}
