//! How many connections there may be, in total and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Counts connections.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    total: usize,
    per_address: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    /// `None` for a place that counts in total only.
    address: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    Total,
    /// This address has as many as one may have.
    Address,
}

impl Slots {
    pub(crate) fn new(total: usize, per_address: usize) -> Self {
        Self {
            total,
            per_address,
            taken: Arc::default(),
        }
    }

    /// A place for one more connection of this address.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Slot, Full> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let held = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.total >= self.total {
            return Err(Full::Total);
        }
        if held >= self.per_address {
            return Err(Full::Address);
        }
        taken.total += 1;
        taken.by_address.insert(address, held + 1);
        Ok(self.slot(Some(address)))
    }

    /// A place for one more connection of someone who stands for many, as a proxy does.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn take_for_many(&self) -> Result<Slot, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.total {
            return Err(Full::Total);
        }
        taken.total += 1;
        Ok(self.slot(None))
    }

    fn slot(&self, address: Option<IpAddr>) -> Slot {
        Slot {
            slots: self.clone(),
            address,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let taken = &self.slots.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        let Some(address) = self.address else {
            return;
        };
        if let Some(held) = taken.by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                taken.by_address.remove(&address);
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
        let slots = Slots::new(100, 8);
        let greedy: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let other = "192.0.2.1".parse().unwrap();

        let held: Vec<_> = std::iter::from_fn(|| slots.take(greedy).ok()).collect();

        assert_eq!(held.len(), 8);
        assert_eq!(slots.take(neighbour).unwrap_err(), Full::Address);
        assert!(slots.take(other).is_ok());
        drop(held);
        assert!(slots.take(neighbour).is_ok());
        assert!(slots.taken.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn there_is_an_end_to_the_places() {
        let slots = Slots::new(100, 8);
        let proxied = slots.take_for_many().unwrap();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let held: Vec<_> = (0..).map_while(|n| slots.take(address(n)).ok()).collect();

        assert_eq!(held.len(), 99);
        assert_eq!(slots.take_for_many().unwrap_err(), Full::Total);
        drop(proxied);
        assert!(slots.take_for_many().is_ok());
    }
}
