//! Limits how many connections may be open, in total and from one address.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_network::ClientNetwork;

/// Counts connections; clones share the count.
#[derive(Clone, Debug)]
pub struct ConnectionLimiter {
    /// A permit for each connection that may still be opened; never closed.
    total: Arc<Semaphore>,
    max_per_address: usize,
    open_by_network: Arc<Mutex<HashMap<ClientNetwork, usize>>>,
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// `None` for a connection that counts in total only.
    _address: Option<AddressCount>,
    /// Given back when it is dropped; always there, for the semaphore is never closed.
    _total: Option<OwnedSemaphorePermit>,
}

/// Counts one connection as its address's until it is dropped.
#[derive(Debug)]
struct AddressCount {
    address: IpAddr,
    open_by_network: Arc<Mutex<HashMap<ClientNetwork, usize>>>,
}

/// Why no further connection may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// As many are open as there may be in total.
    Total,
    /// This address, or its site, has as many as one may have.
    Address,
}

impl ConnectionLimiter {
    /// Limits the total only.
    #[must_use]
    pub fn new(max_total: usize) -> Self {
        Self {
            total: Arc::new(Semaphore::new(max_total.min(Semaphore::MAX_PERMITS))),
            max_per_address: usize::MAX,
            open_by_network: Arc::default(),
        }
    }

    /// Limits what one address may have open, too: one IPv4 address, or an IPv6 /64. A /48 may have four
    /// times as much.
    #[must_use]
    pub fn with_max_per_address(self, max_per_address: usize) -> Self {
        Self {
            max_per_address,
            ..self
        }
    }

    /// Admits one more connection of this address.
    ///
    /// # Errors
    /// When it would be one too many.
    pub fn try_acquire(&self, address: IpAddr) -> Result<ConnectionPermit, LimitReached> {
        let mut open_by_network = self.open_by_network.lock();
        let is_full = ClientNetwork::all_of(address).any(|(network, shares)| {
            let open = open_by_network.get(&network).copied().unwrap_or(0);
            open >= self.max_per_address.saturating_mul(shares)
        });
        // Checked before a permit is taken: one that is given back at once would refuse others meanwhile.
        if self.total.available_permits() == 0 {
            return Err(LimitReached::Total);
        }
        if is_full {
            return Err(LimitReached::Address);
        }
        let permit = self.try_acquire_for_proxy()?;
        for (network, _) in ClientNetwork::all_of(address) {
            *open_by_network.entry(network).or_default() += 1;
        }
        Ok(ConnectionPermit {
            _address: Some(AddressCount {
                address,
                open_by_network: Arc::clone(&self.open_by_network),
            }),
            ..permit
        })
    }

    /// Admits one more connection of a peer that stands for many clients, as a proxy does.
    ///
    /// # Errors
    /// When it would be one too many.
    pub fn try_acquire_for_proxy(&self) -> Result<ConnectionPermit, LimitReached> {
        let total = Arc::clone(&self.total).try_acquire_owned();
        let total = total.map_err(|_| LimitReached::Total)?;
        Ok(ConnectionPermit {
            _address: None,
            _total: Some(total),
        })
    }

    /// Waits until one more connection may be open; it counts in total only.
    pub async fn acquire(&self) -> ConnectionPermit {
        ConnectionPermit {
            _address: None,
            _total: Arc::clone(&self.total).acquire_owned().await.ok(),
        }
    }
}

impl Drop for AddressCount {
    fn drop(&mut self) {
        let mut open_by_network = self.open_by_network.lock();
        for (network, _) in ClientNetwork::all_of(self.address) {
            if let Some(open) = open_by_network.get_mut(&network) {
                *open -= 1;
                if *open == 0 {
                    open_by_network.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let limiter = ConnectionLimiter::new(100).with_max_per_address(8);
        let greedy: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let other = "192.0.2.1".parse().unwrap();

        let permits: Vec<_> = std::iter::from_fn(|| limiter.try_acquire(greedy).ok()).collect();

        assert_eq!(permits.len(), 8);
        assert_eq!(
            limiter.try_acquire(neighbour).unwrap_err(),
            LimitReached::Address
        );
        assert!(limiter.try_acquire(other).is_ok());
        drop(permits);
        assert!(limiter.try_acquire(neighbour).is_ok());
        assert!(limiter.open_by_network.lock().is_empty());
    }

    #[test]
    fn a_site_of_many_networks_cannot_take_every_place() {
        let limiter = ConnectionLimiter::new(100).with_max_per_address(8);
        let address = |link: u16| IpAddr::from([0x2001, 0xdb8, 0, link, 0, 0, 0, 1]);
        let permits: Vec<_> = (0..64)
            .filter_map(|link| limiter.try_acquire(address(link)).ok())
            .collect();

        assert_eq!(permits.len(), 32);
        assert_eq!(
            limiter.try_acquire(address(99)).unwrap_err(),
            LimitReached::Address
        );
        assert!(
            limiter
                .try_acquire("2001:db8:1::1".parse().unwrap())
                .is_ok()
        );
    }

    #[test]
    fn there_is_an_end_to_the_places() {
        let limiter = ConnectionLimiter::new(100).with_max_per_address(8);
        let proxied = limiter.try_acquire_for_proxy().unwrap();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let permits: Vec<_> = (0..)
            .map_while(|n| limiter.try_acquire(address(n)).ok())
            .collect();

        assert_eq!(permits.len(), 99);
        assert_eq!(
            limiter.try_acquire_for_proxy().unwrap_err(),
            LimitReached::Total
        );
        drop(proxied);
        assert!(limiter.try_acquire_for_proxy().is_ok());
    }
}
