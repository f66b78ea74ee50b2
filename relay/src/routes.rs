//! Names for sessions and legs, and the tables that find them.

use std::{collections::HashMap, fmt};

use foldhash::fast::FixedState;

use crate::{LocalUfrag, PathAddr};

/// The name under which the caller knows a session; to the relay it is opaque.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelaySessionId(pub [u8; 16]);

/// One side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Beside the browser.
    Host,
    /// On the user's device.
    Viewer,
}

/// One value a leg, named so that the two cannot be swapped unnoticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Legs<T> {
    /// The host's.
    pub host: T,
    /// The viewer's.
    pub viewer: T,
}

impl Leg {
    /// The opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Host => Self::Viewer,
            Self::Viewer => Self::Host,
        }
    }
}

impl<T> Legs<T> {
    /// One leg's value.
    pub const fn get(&self, leg: Leg) -> &T {
        match leg {
            Leg::Host => &self.host,
            Leg::Viewer => &self.viewer,
        }
    }

    /// One leg's value, to change.
    pub const fn get_mut(&mut self, leg: Leg) -> &mut T {
        match leg {
            Leg::Host => &mut self.host,
            Leg::Viewer => &mut self.viewer,
        }
    }

    /// Both values: `leg`'s first, then the other's.
    #[inline]
    pub(crate) const fn split(&mut self, leg: Leg) -> (&mut T, &mut T) {
        match leg {
            Leg::Host => (&mut self.host, &mut self.viewer),
            Leg::Viewer => (&mut self.viewer, &mut self.host),
        }
    }
}

/// Where a leg lives: the session's slot and the side, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LegRef(u32);

impl LegRef {
    pub(crate) const fn new(slot: usize, leg: Leg) -> Self {
        Self((slot as u32) << 1 | leg as u32)
    }

    pub(crate) const fn opposite(self) -> Self {
        Self(self.0 ^ 1)
    }

    #[inline]
    pub(crate) const fn slot(self) -> usize {
        (self.0 >> 1) as usize
    }

    #[inline]
    pub(crate) const fn leg(self) -> Leg {
        match self.0 & 1 {
            0 => Leg::Host,
            _ => Leg::Viewer,
        }
    }
}

/// The three lookups: a media packet's source, a check's ufrag, a command's session.
///
/// Keys enter the tables only after authentication or from signaling, and the hash is seeded, so
/// no outsider can lengthen a probe sequence.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) by_addr: HashMap<PathAddr, LegRef, FixedState>,
    pub(crate) by_ufrag: HashMap<LocalUfrag, LegRef, FixedState>,
    pub(crate) by_id: HashMap<RelaySessionId, u32, FixedState>,
}

impl Routes {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            by_addr: HashMap::with_hasher(hasher.clone()),
            by_ufrag: HashMap::with_hasher(hasher.clone()),
            by_id: HashMap::with_hasher(hasher),
        }
    }
}

impl fmt::Debug for RelaySessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_reference_keeps_slot_and_side() {
        for slot in [0, 1, 9_999, (1 << 31) - 1] {
            for leg in [Leg::Host, Leg::Viewer] {
                let at = LegRef::new(slot, leg);
                assert_eq!((at.slot(), at.leg()), (slot, leg));
            }
        }
    }
}
