//! Numbers for this machine's own addresses, so that each path keeps two bytes of its.

use authloop_relay::LocalAddrId;

/// Addresses that get a number. A machine has a handful, and a new temporary one now and then
/// (RFC 8981); datagrams to any beyond them are answered from where the system likes.
const MAX_LOCAL_ADDRS: usize = 1024;

/// The addresses that datagrams came to, in the order of their numbers, which begin with 1.
#[derive(Debug, Default)]
pub(super) struct LocalAddrs {
    known: Vec<[u8; 16]>,
    /// The number found last: most datagrams come to where the one before them came.
    last: LocalAddrId,
}

impl LocalAddrs {
    /// The number of an address (IPv4 mapped into IPv6), new if need be; without one, the choice is the
    /// system's.
    #[inline]
    pub(super) fn id_of(&mut self, ip: Option<[u8; 16]>) -> LocalAddrId {
        let Some(ip) = ip else {
            return LocalAddrId::default();
        };
        if self.ip(self.last) != Some(&ip) {
            self.last = self.find(ip);
        }
        self.last
    }

    /// The address with a number; `None` leaves the choice to the system.
    #[inline]
    pub(super) fn ip(&self, id: LocalAddrId) -> Option<&[u8; 16]> {
        self.known.get(usize::from(id.0).checked_sub(1)?)
    }

    #[cold]
    fn find(&mut self, ip: [u8; 16]) -> LocalAddrId {
        if let Some(at) = self.known.iter().position(|known| *known == ip) {
            return LocalAddrId(at as u16 + 1);
        }
        if self.known.len() == MAX_LOCAL_ADDRS {
            return LocalAddrId::default();
        }
        self.known.push(ip);
        LocalAddrId(self.known.len() as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_keeps_its_number_and_too_many_get_none() {
        let mut addrs = LocalAddrs::default();
        let ip = |n: u16| {
            let [high, low] = n.to_be_bytes();
            std::array::from_fn(|at| if at % 2 == 0 { high } else { low })
        };

        for n in 1..=1_024 {
            assert_eq!(addrs.id_of(Some(ip(n))), LocalAddrId(n));
        }

        assert_eq!(addrs.id_of(Some(ip(2_000))), LocalAddrId(0));
        assert_eq!(addrs.id_of(None), LocalAddrId(0));
        assert_eq!(addrs.ip(LocalAddrId(0)), None);
        for n in [7, 7, 1_024, 1] {
            assert_eq!(addrs.id_of(Some(ip(n))), LocalAddrId(n));
            assert_eq!(addrs.ip(LocalAddrId(n)), Some(&ip(n)));
        }
    }
}
