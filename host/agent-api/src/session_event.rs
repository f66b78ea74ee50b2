//! What a runner tells of a session before its end.

use authloop_agent_api_types::RoomView;

/// What a runner tells of a session before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// In which room the user signs in. Told before the link, and again if the user goes on in another room.
    Room(RoomView),
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
