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
    /// The one leg of those with a path at an address whose packets they are taken for.
    by_addr: HashMap<PathAddr, LegRef, FixedState>,
    /// The other legs with a path there, if any. A source address can be forged, so until one of
    /// them has proved that it receives there, each may be the address's true user.
    rivals: HashMap<PathAddr, Vec<LegRef>, FixedState>,
    /// What the outside calls addresses that the caller hands out.
    pub(crate) names: HashMap<PathAddr, PathAddr, FixedState>,
    pub(crate) by_ufrag: HashMap<LocalUfrag, LegRef, FixedState>,
    pub(crate) by_id: HashMap<RelaySessionId, u32, FixedState>,
}

impl Routes {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            by_addr: HashMap::with_hasher(hasher.clone()),
            rivals: HashMap::with_hasher(hasher.clone()),
            names: HashMap::with_hasher(hasher.clone()),
            by_ufrag: HashMap::with_hasher(hasher.clone()),
            by_id: HashMap::with_hasher(hasher),
        }
    }

    /// The leg that packets from an address are taken for.
    #[inline]
    pub(crate) fn leg_at(&self, addr: PathAddr) -> Option<LegRef> {
        self.by_addr.get(&addr).copied()
    }

    /// Every leg with a path at an address, the one that packets are taken for first.
    pub(crate) fn claimants(&self, addr: PathAddr) -> impl Iterator<Item = LegRef> {
        let rivals = self.rivals.get(&addr);
        let rivals = rivals.into_iter().flatten().copied();
        self.leg_at(addr).into_iter().chain(rivals)
    }

    pub(crate) fn has_paths(&self) -> bool {
        !self.by_addr.is_empty()
    }

    /// Takes packets from an address for this leg from now on.
    pub(crate) fn claim(&mut self, addr: PathAddr, leg: LegRef) {
        self.remove_rival(addr, leg);
        if let Some(before) = self.by_addr.insert(addr, leg)
            && before != leg
        {
            self.rivals.entry(addr).or_default().push(before);
        }
    }

    /// Notes that this leg has a path, too, at an address whose packets go on to be another's.
    pub(crate) fn claim_as_rival(&mut self, addr: PathAddr, leg: LegRef) {
        self.rivals.entry(addr).or_default().push(leg);
    }

    /// Forgets that this leg has a path at an address.
    pub(crate) fn release(&mut self, addr: PathAddr, leg: LegRef) {
        if self.leg_at(addr) != Some(leg) {
            self.remove_rival(addr, leg);
            return;
        }
        self.by_addr.remove(&addr);
        let last_rival = self.rivals.get(&addr).and_then(|legs| legs.last().copied());
        if let Some(rival) = last_rival {
            self.claim(addr, rival);
        }
    }

    fn remove_rival(&mut self, addr: PathAddr, leg: LegRef) {
        if let Some(rivals) = self.rivals.get_mut(&addr) {
            rivals.retain(|rival| *rival != leg);
            if rivals.is_empty() {
                self.rivals.remove(&addr);
            }
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
    fn an_address_passes_to_the_next_claimant_and_is_free_after_the_last() {
        let mut routes = Routes::new(1);
        let addr = PathAddr::from_v4([192, 0, 2, 1], 9);
        let legs = [1, 2, 3].map(|slot| LegRef::new(slot, Leg::Host));

        routes.claim(addr, legs[0]);
        routes.claim(addr, legs[1]);
        routes.claim_as_rival(addr, legs[2]);
        routes.claim(addr, legs[0]);
        let all: Vec<LegRef> = routes.claimants(addr).collect();
        let left = [legs[0], legs[1], legs[2]].map(|leg| {
            routes.release(addr, leg);
            routes.leg_at(addr)
        });

        assert_eq!(all, [legs[0], legs[2], legs[1]]);
        assert_eq!(left, [Some(legs[1]), Some(legs[2]), None]);
        assert!(!routes.has_paths() && routes.rivals.is_empty());
    }

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
