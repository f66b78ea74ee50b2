//! Addresses as the kernel reads and writes them.

use std::mem;

use authloop_relay::PathAddr;

/// An address of either family; the kernel reads as much as the length says.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union RawSockAddr {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawSockAddr {
    // SAFETY: all zeroes is a valid value of every field.
    pub(super) const EMPTY: Self = unsafe { mem::zeroed() };

    #[inline]
    pub(super) fn addr(&self) -> PathAddr {
        // SAFETY: both variants begin with the family, and all bytes are always initialised.
        unsafe {
            match libc::c_int::from(self.v4.sin_family) {
                libc::AF_INET => {
                    let octets = self.v4.sin_addr.s_addr.to_ne_bytes();
                    PathAddr::from_v4(octets, u16::from_be(self.v4.sin_port))
                }
                _ => {
                    let octets = self.v6.sin6_addr.s6_addr;
                    PathAddr::from_octets(octets, u16::from_be(self.v6.sin6_port))
                }
            }
        }
    }

    /// Writes an address in the socket's family and returns its length.
    #[inline]
    pub(super) fn set(&mut self, addr: PathAddr, v6: bool) -> libc::socklen_t {
        *self = Self::EMPTY;
        if v6 {
            self.v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: addr.octets(),
                },
                sin6_scope_id: 0,
            };
            size_of::<libc::sockaddr_in6>() as _
        } else {
            self.v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(addr.v4_octets()),
                },
                sin_zero: [0; 8],
            };
            size_of::<libc::sockaddr_in>() as _
        }
    }
}
