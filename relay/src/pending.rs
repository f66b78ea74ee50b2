//! The few packets kept until both their source is proven and the other leg can take them.
//!
//! Without them the first ClientHello would be lost, and DTLS waits a second before it asks again.

use crate::PathAddr;

/// Packets kept for one leg. A ClientHello with a post-quantum share takes two datagrams; a
/// retransmission makes it four.
const MAX_PACKETS_PER_LEG: usize = 4;
/// Packets kept over all legs together: a few megabytes at the very worst.
const MAX_PACKETS_TOTAL: usize = 2048;

/// Packets from one leg that wait for the other.
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<PendingPacket>);

#[derive(Debug)]
struct PendingPacket {
    from: PathAddr,
    bytes: Box<[u8]>,
}

/// How many more packets may be kept, over all legs.
#[derive(Debug)]
pub(crate) struct PendingBudget(usize);

impl PendingBudget {
    pub(crate) fn new() -> Self {
        Self(MAX_PACKETS_TOTAL)
    }
}

impl Pending {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a packet from this address waits: later ones must not overtake it.
    #[inline]
    pub(crate) fn holds_any_from(&self, from: PathAddr) -> bool {
        self.0.iter().any(|packet| packet.from == from)
    }

    /// Keeps a copy, or says that there is no room.
    pub(crate) fn keep(
        &mut self,
        budget: &mut PendingBudget,
        from: PathAddr,
        packet: &[u8],
    ) -> bool {
        if self.0.len() == MAX_PACKETS_PER_LEG || budget.0 == 0 {
            return false;
        }
        budget.0 -= 1;
        let bytes = packet.into();
        self.0.push(PendingPacket { from, bytes });
        true
    }

    /// Takes the oldest packets from proven addresses, as long as they fit.
    pub(crate) fn take(
        &mut self,
        budget: &mut PendingBudget,
        is_proven: impl Fn(PathAddr) -> bool,
        mut fits: impl FnMut(&[u8]) -> bool,
    ) -> Vec<Box<[u8]>> {
        let mut all_fit = true;
        let (taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|packet| {
                let due = all_fit && is_proven(packet.from);
                all_fit &= !due || fits(&packet.bytes);
                due && all_fit
            });
        self.0 = kept;
        budget.0 += taken.len();
        taken.into_iter().map(|packet| packet.bytes).collect()
    }

    /// Forgets what came from other addresses than these.
    pub(crate) fn retain(&mut self, budget: &mut PendingBudget, keeps: impl Fn(PathAddr) -> bool) {
        let before = self.0.len();
        self.0.retain(|packet| keeps(packet.from));
        budget.0 += before - self.0.len();
    }

    /// Forgets everything kept.
    pub(crate) fn clear(&mut self, budget: &mut PendingBudget) {
        budget.0 += self.0.len();
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: PathAddr = PathAddr::from_v4([192, 0, 2, 1], 9);

    #[test]
    fn what_came_from_an_unproven_address_waits_and_holds_up_nothing_else() {
        let unproven = PathAddr::from_v4([192, 0, 2, 1], 10);
        let (mut pending, mut budget) = (Pending::default(), PendingBudget(5));
        for (from, packet) in [(unproven, b"a"), (FROM, b"b"), (unproven, b"c")] {
            pending.keep(&mut budget, from, packet);
        }

        let taken = pending.take(&mut budget, |from| from == FROM, |_| true);

        assert_eq!(taken, [b"b"[..].into()]);
        assert!(pending.holds_any_from(unproven) && !pending.holds_any_from(FROM));
        pending.retain(&mut budget, |from| from == FROM);
        assert!(pending.is_empty() && budget.0 == 5);
    }

    #[test]
    fn a_leg_keeps_four_packets_in_order_and_gives_their_room_back() {
        let (mut pending, mut budget) = (Pending::default(), PendingBudget(5));

        let kept: Vec<bool> = (0..6)
            .map(|n| pending.keep(&mut budget, FROM, &[n]))
            .collect();

        assert_eq!(kept, [true, true, true, true, false, false]);
        let mut take = |most: u8| -> Vec<u8> {
            let taken = pending.take(&mut budget, |_| true, |packet| packet[0] < most);
            taken.iter().map(|packet| packet[0]).collect()
        };
        assert_eq!((take(2), take(9)), (vec![0, 1], vec![2, 3]));
        assert!(pending.is_empty() && budget.0 == 5);
    }

    #[test]
    fn all_legs_together_are_bounded() {
        let mut budget = PendingBudget(1);

        let first = Pending::default().keep(&mut budget, FROM, b"one");
        let second = Pending::default().keep(&mut budget, FROM, b"two");

        assert!(first && !second);
    }
}
