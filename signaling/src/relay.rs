//! What signaling asks of the relay, so that it can be tested without one.

use std::net::SocketAddr;

use async_trait::async_trait;
use authloop_protocol::id::SessionId;

/// One of a session's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The browser's host.
    Host,
    /// The user's page.
    Viewer,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Host => Self::Viewer,
            Self::Viewer => Self::Host,
        }
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Viewer => "viewer",
        }
    }
}

/// The relay's ICE parameters for one leg. Signaling numbers the generations itself.
#[derive(Clone)]
pub struct LegParameters {
    /// The relay's username fragment.
    pub ufrag: String,
    /// The relay's password.
    pub pwd: String,
    /// Where the relay listens for UDP.
    pub candidates: Vec<SocketAddr>,
    /// Where it takes ICE-TCP.
    pub tcp: Vec<SocketAddr>,
    /// Where it takes TURN, as URLs; user name and password are the leg's own.
    pub turn: Vec<String>,
}

/// Leaves the credentials out.
impl std::fmt::Debug for LegParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegParameters({} candidates)", self.candidates.len())
    }
}

/// A session's two legs at the relay.
#[derive(Clone, Debug)]
pub struct SessionLegs {
    /// The host's.
    pub host: LegParameters,
    /// The viewer's.
    pub viewer: LegParameters,
}

/// What the relay noticed about a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// It has a validated path.
    Connected,
    /// Its consent expired (RFC 7675).
    Lost,
}

/// Why the relay did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// It has no room for the session, or a name of it is taken.
    #[error("the relay refused the session")]
    Refused,
    /// It does not know the session.
    #[error("the relay does not know this session")]
    Unknown,
    /// It has stopped.
    #[error("the relay has stopped")]
    Stopped,
}

/// The relay, as signaling sees it.
#[async_trait]
pub trait Relay: Send + Sync + 'static {
    /// Makes both legs of a session.
    async fn open(&self, id: SessionId) -> Result<SessionLegs, RelayError>;

    /// Gives one leg new credentials; the old ones live on until the new ones are used.
    async fn restart(&self, id: SessionId, side: Side) -> Result<LegParameters, RelayError>;

    /// Tells the relay an endpoint's own credentials, with which it checks return routability.
    async fn set_remote(&self, id: SessionId, side: Side, ufrag: String, pwd: String);

    /// Drops both legs; a session that the relay does not know is no error.
    async fn close(&self, id: SessionId);
}
