//! What the relay tells its owner of its own accord.

use crate::{Leg, SessionId};

/// What a session's owner wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A leg has a validated path.
    LegConnected {
        /// The session.
        session: SessionId,
        /// The side.
        leg: Leg,
    },
    /// A leg has none any more: consent ended, or its address went to another leg.
    LegLost {
        /// The session.
        session: SessionId,
        /// The side.
        leg: Leg,
    },
}
