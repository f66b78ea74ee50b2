//! How many connections clients may have open: in all, and each address.

use std::{net::IpAddr, sync::Arc};

use authloop_net::{ConnectionLimiter, ConnectionPermit, LimitReached};
use ipnet::IpNet;

/// A [`ConnectionLimiter`] that knows which addresses stand for many clients.
#[derive(Clone, Debug)]
pub(crate) struct ClientLimiter {
    limiter: ConnectionLimiter,
    trusted_proxies: Arc<[IpNet]>,
}

impl ClientLimiter {
    pub(crate) fn new(max_total: usize, max_per_address: usize, trusted_proxies: &[IpNet]) -> Self {
        Self {
            limiter: ConnectionLimiter::new(max_total).with_max_per_address(max_per_address),
            trusted_proxies: trusted_proxies.into(),
        }
    }

    /// Admits one more connection of this peer; a trusted proxy's counts in total only.
    ///
    /// # Errors
    /// When it would be one too many.
    pub(crate) fn try_acquire(&self, peer: IpAddr) -> Result<ConnectionPermit, LimitReached> {
        if self.stands_for_many(peer) {
            self.limiter.try_acquire_for_proxy()
        } else {
            self.limiter.try_acquire(peer.to_canonical())
        }
    }

    /// Whether this is a trusted proxy, behind which are many clients.
    pub(crate) fn stands_for_many(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_count_in_total_only() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let limiter = ClientLimiter::new(4, 1, &proxies);
        let [proxy, client, other] =
            ["::ffff:10.0.0.1", "192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());

        let permits: Vec<_> = [proxy, proxy, client, client, other, other]
            .map(|peer| limiter.try_acquire(peer))
            .into();

        let refused: Vec<_> = permits.iter().map(|p| p.as_ref().err()).collect();
        assert_eq!(
            refused,
            [
                None,
                None,
                None,
                Some(&LimitReached::Address),
                None,
                Some(&LimitReached::Total)
            ]
        );
    }
}
