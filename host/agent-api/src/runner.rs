//! Who carries a session through: the handoff in production, anything else in tests.

use authloop_done_when::Conclusion;
use authloop_protocol::input::DeclineReason;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::order::Order;

/// What a runner tells of a session before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// It is registered; this link opens it, once.
    Link(String),
    /// It came to another state.
    State(SessionState),
    /// Another device tried the link, without effect.
    SecondClaim,
    /// The user went on on another of their devices.
    HandedOver,
    /// The page asked for a passkey, which cannot cross; the user is shown to another way.
    PasskeyRequired,
}

/// Where a session stands before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Nobody has opened the link.
    Waiting,
    /// The user's device has claimed the session.
    Claimed,
    /// The viewer is negotiating.
    Connecting,
    /// Certificates are confirmed: the user sees the browser and may type.
    Live,
    /// The way to the viewer is lost and being mended.
    Reconnecting,
    /// The user is done; the browser is asked whether it shows so.
    Checking,
}

/// Told of the link and of each state.
pub type Report = Box<dyn FnMut(SessionEvent) + Send + Sync>;

/// How a session ended.
#[derive(Debug)]
pub enum Ended {
    /// The user or the agent is done.
    Resolved {
        /// How many cookies the browser holds.
        cookies: usize,
        /// Playwright's storage state as JSON, if it was asked for and could be read.
        storage_state: Option<SecretString>,
        /// How it is known.
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
    /// The order cannot be carried out.
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
            Self::Order(_) => "order",
            Self::Internal(_) => "host",
        }
    }
}

/// Carries sessions through.
#[async_trait::async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Carries one through, from the link, which is the first thing reported, to its end.
    ///
    /// `cancel` withdraws it; `finish` ends it as done by the agent's word.
    async fn run(
        &self,
        order: Order,
        cancel: CancellationToken,
        finish: CancellationToken,
        report: Report,
    ) -> Result<Ended, RunError>;

    /// Where the agent reaches the browser after the handoff.
    fn agent_cdp_url(&self, order: &Order) -> String {
        order.cdp_url.clone()
    }
}
