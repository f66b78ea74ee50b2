//! What signaling reports about itself; the root package counts it.

use std::time::Duration;

use authloop_protocol::signal::{Outcome, SignalErrorCode, WallType};

use crate::{audit::AuditEvent, relay::Side};

/// Something worth counting. It never carries an id, an address or an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalingEvent {
    /// A host registered a session.
    Registered,
    /// A device won a session.
    Claimed {
        /// From registration to claim.
        after: Duration,
    },
    /// Another device tried a claimed session's link.
    SecondClaim,
    /// A session ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// From registration to end.
        after: Duration,
        /// From claim to end, where the claim was at this server.
        since_claim: Option<Duration>,
        /// What its host said it is about.
        wall_type: Option<WallType>,
    },
    /// A viewer showed its first picture.
    FirstFrame {
        /// From claim to picture.
        after: Duration,
    },
    /// A WebSocket opened.
    SocketOpened(Side),
    /// A WebSocket closed.
    SocketClosed(Side),
    /// A WebSocket was refused or cut.
    SocketRejected {
        /// Which side's.
        side: Side,
        /// Why.
        code: SignalErrorCode,
    },
    /// An HTTP request was refused, with the code of its error body.
    HttpRejected(&'static str),
    /// A request that needs an API key was let in (`ok`) or not, and why not.
    ApiKey(&'static str),
    /// A sealed blob was passed on or put into the mailbox of this side.
    Forwarded(Side),
    /// A blob for this side was dropped: its mailbox was full, or all together, or nobody had claimed yet.
    MailboxDropped(Side),
    /// This side asked for new ICE credentials.
    Restarted(Side),
    /// The relay failed to open or restart legs.
    RelayFailed,
}

/// Receives [`SignalingEvent`]s; called under locks, so it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Takes one event.
    fn observe(&self, event: SignalingEvent);

    /// Takes one event for the audit log.
    fn audit(&self, _: AuditEvent) {}
}

/// Discards everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl Observer for NoopObserver {
    fn observe(&self, _: SignalingEvent) {}
}
