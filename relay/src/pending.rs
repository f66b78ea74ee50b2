//! The few packets kept for a leg that cannot take them yet.
//!
//! Without them the first ClientHello would be lost, and DTLS waits a second before it asks again.

/// Packets kept for one leg. A ClientHello with a post-quantum share takes two datagrams; a
/// retransmission makes it four.
const MAX_PACKETS_PER_LEG: usize = 4;
/// Packets kept over all legs together: a few megabytes at the very worst.
const MAX_PACKETS_TOTAL: usize = 2048;

/// Packets from one leg that wait for the other.
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<Box<[u8]>>);

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

    /// Keeps a copy, or says that there is no room.
    pub(crate) fn keep(&mut self, budget: &mut PendingBudget, packet: &[u8]) -> bool {
        if self.0.len() == MAX_PACKETS_PER_LEG || budget.0 == 0 {
            return false;
        }
        budget.0 -= 1;
        self.0.push(packet.into());
        true
    }

    /// Takes the oldest packets, as long as they fit.
    pub(crate) fn take_while(
        &mut self,
        budget: &mut PendingBudget,
        mut fits: impl FnMut(&[u8]) -> bool,
    ) -> Vec<Box<[u8]>> {
        let refused = self.0.iter().position(|packet| !fits(packet));
        let mut taken = std::mem::take(&mut self.0);
        self.0 = taken.split_off(refused.unwrap_or(taken.len()));
        budget.0 += taken.len();
        taken
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

    #[test]
    fn a_leg_keeps_four_packets_in_order_and_gives_their_room_back() {
        let (mut pending, mut budget) = (Pending::default(), PendingBudget(5));

        let kept: Vec<bool> = (0..6).map(|n| pending.keep(&mut budget, &[n])).collect();

        assert_eq!(kept, [true, true, true, true, false, false]);
        let mut take = |most: u8| -> Vec<u8> {
            let taken = pending.take_while(&mut budget, |packet| packet[0] < most);
            taken.iter().map(|packet| packet[0]).collect()
        };
        assert_eq!((take(2), take(9)), (vec![0, 1], vec![2, 3]));
        assert!(pending.is_empty() && budget.0 == 5);
    }

    #[test]
    fn all_legs_together_are_bounded() {
        let mut budget = PendingBudget(1);

        let first = Pending::default().keep(&mut budget, b"one");
        let second = Pending::default().keep(&mut budget, b"two");

        assert!(first && !second);
    }
}
