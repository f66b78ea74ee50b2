//! How many streams there may be, in total and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Streams at once; each costs a task and a UDP socket.
const TOTAL: usize = 2048;
/// Streams at once from one address: people behind one NAT share it.
const PER_ADDRESS: usize = 64;

/// Counts streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One stream's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    address: IpAddr,
}

impl Slots {
    /// A place for one more stream of this address, if there is one.
    pub(super) fn take(&self, address: IpAddr) -> Option<Slot> {
        let address = network(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.total >= TOTAL || held >= PER_ADDRESS {
            return None;
        }
        taken.total += 1;
        taken.by_address.insert(address, held + 1);
        Some(Slot {
            slots: self.clone(),
            address,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Some(held) = taken.by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// A /64 is one customer's in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let slots = Slots::default();
        let greedy: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let other = "192.0.2.1".parse().unwrap();

        let held: Vec<_> = std::iter::from_fn(|| slots.take(greedy)).collect();

        assert_eq!(held.len(), PER_ADDRESS);
        assert!(slots.take(neighbour).is_none());
        assert!(slots.take(other).is_some());
        drop(held);
        assert!(slots.take(neighbour).is_some());
        assert!(slots.0.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn there_is_an_end_to_the_places() {
        let slots = Slots::default();
        let mut held = Vec::new();
        for n in 0.. {
            match slots.take(IpAddr::from([10, 0, (n >> 8) as u8, n as u8])) {
                Some(slot) => held.push(slot),
                None => break,
            }
        }

        assert_eq!(held.len(), TOTAL);
    }
}
