//! Limits how many connections may be open, in total and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// Counts connections; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimiter {
    max_total: usize,
    max_per_address: usize,
    open: Arc<Mutex<OpenConnections>>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: ConnectionLimiter,
    /// `None` for a connection that counts in total only.
    address: Option<IpAddr>,
}

/// Why no further connection may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitReached {
    /// As many are open as there may be in total.
    Total,
    /// This address has as many as one may have.
    Address,
}

impl ConnectionLimiter {
    pub(crate) fn new(max_total: usize, max_per_address: usize) -> Self {
        Self {
            max_total,
            max_per_address,
            open: Arc::default(),
        }
    }

    /// Admits one more connection of this address.
    ///
    /// # Errors
    /// When it would be one too many.
    pub(crate) fn acquire(&self, address: IpAddr) -> Result<Permit, LimitReached> {
        let address = network(address);
        let mut open = self.open.lock();
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.total >= self.max_total {
            return Err(LimitReached::Total);
        }
        if from_address >= self.max_per_address {
            return Err(LimitReached::Address);
        }
        open.total += 1;
        open.by_address.insert(address, from_address + 1);
        Ok(self.permit(Some(address)))
    }

    /// Admits one more connection of a peer that stands for many clients, as a proxy does.
    ///
    /// # Errors
    /// When it would be one too many.
    pub(crate) fn acquire_for_proxy(&self) -> Result<Permit, LimitReached> {
        let mut open = self.open.lock();
        if open.total >= self.max_total {
            return Err(LimitReached::Total);
        }
        open.total += 1;
        Ok(self.permit(None))
    }

    fn permit(&self, address: Option<IpAddr>) -> Permit {
        Permit {
            limiter: self.clone(),
            address,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limiter.open.lock();
        open.total -= 1;
        let Some(address) = self.address else {
            return;
        };
        if let Some(from_address) = open.by_address.get_mut(&address) {
            *from_address -= 1;
            if *from_address == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// The network that counts as one client: a /64 is one customer's in IPv6.
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
        let limiter = ConnectionLimiter::new(100, 8);
        let greedy: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let other = "192.0.2.1".parse().unwrap();

        let permits: Vec<_> = std::iter::from_fn(|| limiter.acquire(greedy).ok()).collect();

        assert_eq!(permits.len(), 8);
        assert_eq!(
            limiter.acquire(neighbour).unwrap_err(),
            LimitReached::Address
        );
        assert!(limiter.acquire(other).is_ok());
        drop(permits);
        assert!(limiter.acquire(neighbour).is_ok());
        assert!(limiter.open.lock().by_address.is_empty());
    }

    #[test]
    fn there_is_an_end_to_the_places() {
        let limiter = ConnectionLimiter::new(100, 8);
        let proxied = limiter.acquire_for_proxy().unwrap();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let permits: Vec<_> = (0..)
            .map_while(|n| limiter.acquire(address(n)).ok())
            .collect();

        assert_eq!(permits.len(), 99);
        assert_eq!(
            limiter.acquire_for_proxy().unwrap_err(),
            LimitReached::Total
        );
        drop(proxied);
        assert!(limiter.acquire_for_proxy().is_ok());
    }
}
