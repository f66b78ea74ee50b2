//! One handoff: from the registration, over the user's claim and sign-in, to its end.

#![forbid(unsafe_code)]

mod connection;
pub mod input;
mod session;
mod session_secrets;
pub mod signal;
#[cfg(test)]
mod testing;
mod viewer_state;

use std::time::Duration;

use authloop_cdp::BrowserError;
use authloop_done_when::{Conclusion, DoneWhen};
use authloop_gate::{GateError, HandoffGate};
use authloop_host_metrics::Metrics;
use authloop_media::{encode::EncodeError, peer::PeerError};
use authloop_protocol::{
    input::DeclineReason,
    invitation::{InvitationError, RoomStart},
    origin::NotAnOrigin,
    signal::WallType,
};
use authloop_rooms::{Bundle, GrantError, Isolation, PlantError, RoomError, RoomPool, StartError};
use tokio_util::sync::CancellationToken;

use crate::signal::{SignalError, SignalingServer};

pub use session::run;

/// What to hand over, to whom, and for how long.
#[derive(Clone)]
pub struct HandoffConfig {
    /// The browser's CDP address: `http://host:port` or `ws://…/devtools/…`. Not used with `gate`.
    pub cdp: String,
    /// The gate before the browser. While the user is in the agent's own browser it is closed, and stays
    /// closed if the browser cannot be cleared.
    pub gate: Option<HandoffGate>,
    /// Where the user signs in.
    pub room: RoomConfig,
    /// The signaling server as this host reaches it.
    pub server: SignalingServer,
    /// The signaling server's origin as the viewer reaches it (RFC 6454).
    pub public_origin: String,
    /// Where the viewer page is served; the link begins with it.
    pub viewer_origin: String,
    /// Who asks, shown to the user.
    pub requester: String,
    /// Why, shown to the user.
    pub reason: String,
    /// What kind of wall it is about, for the server's statistics; nobody is shown it.
    pub wall_type: Option<WallType>,
    /// The origins where the user is expected to sign in; empty for any.
    pub expected_origins: Vec<String>,
    /// How long the session lives.
    pub ttl: Duration,
    /// Whether the browser's storage state is returned at the end.
    pub storage_state: bool,
    /// The origins of which the state is returned; if not given, those where the user is expected
    /// to sign in, or else those that the browser shows.
    pub storage_origins: Option<Vec<String>>,
    /// How it is known that the user has signed in.
    pub verify: Verify,
    /// Where delays and frames are counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for HandoffConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandoffConfig").finish_non_exhaustive()
    }
}

/// Where the user signs in (`docs/ROOMS.md`).
#[derive(Clone, Debug)]
pub enum RoomConfig {
    /// In the agent's own browser.
    InPlace,
    /// In a browser of the host's own that the agent cannot see.
    Private(PrivateRoomConfig),
}

/// A private room, and what of it the agent gets.
#[derive(Clone, Debug)]
pub struct PrivateRoomConfig {
    /// Where rooms come from.
    pub pool: RoomPool,
    /// With what the room begins.
    pub start: RoomStart,
    /// Where the wall is, as the agent says; the agent's page tells otherwise.
    pub url: Option<String>,
    /// The sites whose session the agent gets; if empty, those of the expected origins, else that of
    /// `url`, else that of the agent's page.
    pub grants: Vec<String>,
    /// Whether a fresh room keeps the address's query.
    pub keep_query: bool,
    /// Whether a user whose session did not move may go on inside the agent's own browser.
    pub in_place_allowed: bool,
}

/// The room that a handoff has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomReport {
    /// The agent's own browser.
    InPlace,
    /// A browser that the agent cannot see.
    Private {
        /// With what it begins.
        start: RoomStart,
        /// The granted sites.
        sites: Vec<String>,
        /// Who runs it.
        isolation: Isolation,
    },
}

/// How it is known that the user has signed in.
#[derive(Clone, Debug, Default)]
pub struct Verify {
    /// What the browser must show when the user says that they are done; nothing if not given.
    pub done_when: Option<DoneWhen>,
    /// Whether the handoff ends as soon as the browser shows it.
    pub auto_finish: bool,
    /// The agent knows by itself that the user has signed in.
    pub finish: CancellationToken,
}

/// What a caller may want to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoffEvent {
    /// Where the user signs in: told before the link, and when that changes.
    Room(RoomReport),
    /// The session is registered; this link opens it, once.
    Link(String),
    /// The handoff came to another state.
    State(HandoffState),
    /// Another device tried the link, without effect.
    SecondClaim,
    /// The user went on on another of their devices.
    HandedOver,
    /// The page asked for a passkey, which cannot cross; the user is shown to another way.
    PasskeyRequired,
}

/// Where the handoff stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoffState {
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

impl HandoffState {
    /// The state's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::Checking => "checking",
        }
    }
}

/// How a handoff ended.
#[derive(Debug)]
pub enum HandoffEnd {
    /// The user said Done.
    Resolved {
        /// Cookies in the browser.
        cookies: usize,
        /// The storage state, if it was asked for.
        storage_state: Option<Bundle>,
        /// How that is known.
        conclusion: Conclusion,
    },
    /// The user signed in in a private room, but the agent's browser does not show it.
    NotMoved {
        /// What the agent's browser shows.
        conclusion: Conclusion,
    },
    /// The user refused.
    Declined(DeclineReason),
    /// Nobody finished it in time.
    Expired,
    /// It was withdrawn.
    Cancelled,
}

/// Why a handoff could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum HandoffError {
    /// The browser cannot be reached or has died.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The gate before the browser cannot be closed or opened.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// There is no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// It is not known which sites' session the agent would get.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The room has no address to begin at.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The session was not planted into the agent's browser.
    #[error(transparent)]
    Plant(#[from] PlantError),
    /// The server cannot be reached or refused.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The invitation is out of bounds.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// WebRTC failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The video encoder failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The life asked for is out of bounds.
    #[error("a session lives from 10 seconds to 24 hours, not {0} seconds")]
    Ttl(u64),
    /// An origin is not one.
    #[error(transparent)]
    Origin(#[from] NotAnOrigin),
    /// The server closed the session's socket for good.
    #[error("the server closed the session ({code}): {message}")]
    Closed {
        /// The error's stable name.
        code: String,
        /// One sentence.
        message: String,
    },
}
