//! What the relay tells its owner of its own accord.

use crate::{Leg, RelaySessionId};

/// What a session's owner wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayEvent {
    /// A leg has a validated path.
    LegConnected {
        /// The session.
        session: RelaySessionId,
        /// The side.
        leg: Leg,
    },
    /// A leg has none any more: consent ended, or its address was taken back or went to another leg.
    LegLost {
        /// The session.
        session: RelaySessionId,
        /// The side.
        leg: Leg,
    },
}
