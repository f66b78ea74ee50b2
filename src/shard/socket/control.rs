//! Control messages (`cmsg(3)`): from and to which of this machine's addresses a datagram goes, and the
//! size of the segments that the kernel makes of it.

use std::net::Ipv4Addr;

/// A control message's header: length, level, type.
const HEADER_BYTES: usize = 16;
/// Room of one message with `in_pktinfo` (12 bytes), `in6_pktinfo` (20) and a segment size (2).
const V4_SOURCE_BYTES: usize = 32;
const V6_SOURCE_BYTES: usize = 40;
pub(super) const SEGMENT_BYTES: usize = 24;
/// Where `in_pktinfo` has the address (`ipi_spec_dst`); `in6_pktinfo` begins with it.
const V4_ADDRESS_AT: usize = HEADER_BYTES + 4;
const V6_ADDRESS_AT: usize = HEADER_BYTES;

/// Room for all control messages of one datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct ControlBuffer([u8; Self::BYTES]);

impl ControlBuffer {
    pub(super) const BYTES: usize = V6_SOURCE_BYTES + SEGMENT_BYTES;
    pub(super) const EMPTY: Self = Self([0; Self::BYTES]);

    /// This machine's address that a datagram came to (IPv4 mapped into IPv6), of the first `length`
    /// bytes that the kernel wrote.
    #[inline]
    pub(super) fn destination(&self, length: usize) -> Option<[u8; 16]> {
        let written = self.0.get(..length)?;
        let level = i32::from_ne_bytes(*written.get(8..)?.first_chunk()?);
        let kind = i32::from_ne_bytes(*written.get(12..)?.first_chunk()?);
        match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                written.get(V6_ADDRESS_AT..)?.first_chunk().copied()
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let octets: [u8; 4] = *written.get(V4_ADDRESS_AT..)?.first_chunk()?;
                Some(Ipv4Addr::from(octets).to_ipv6_mapped().octets())
            }
            _ => None,
        }
    }

    /// Has the kernel send from `ip` (IPv4 mapped into IPv6); returns the bytes in use.
    ///
    /// A socket of IPv6 takes mapped addresses, too.
    #[inline]
    pub(super) fn set_source(&mut self, ip: &[u8; 16], v6: bool) -> usize {
        if v6 {
            self.write_header(0, 20, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
            self.0[V6_ADDRESS_AT..V6_SOURCE_BYTES].fill(0);
            self.0[V6_ADDRESS_AT..V6_ADDRESS_AT + 16].copy_from_slice(ip);
            V6_SOURCE_BYTES
        } else {
            self.write_header(0, 12, libc::IPPROTO_IP, libc::IP_PKTINFO);
            self.0[HEADER_BYTES..V4_SOURCE_BYTES].fill(0);
            self.0[V4_ADDRESS_AT..V4_ADDRESS_AT + 4].copy_from_slice(&ip[12..]);
            V4_SOURCE_BYTES
        }
    }

    /// Has the kernel cut the payload into datagrams of `size` (`UDP_SEGMENT`), in a message behind the
    /// first `used` bytes; returns the bytes in use.
    #[inline]
    pub(super) fn add_segment_size(&mut self, used: usize, size: u16) -> usize {
        self.write_header(used, 2, libc::SOL_UDP, libc::UDP_SEGMENT);
        let data = used + HEADER_BYTES;
        self.0[data..data + 2].copy_from_slice(&size.to_ne_bytes());
        used + SEGMENT_BYTES
    }

    fn write_header(&mut self, at: usize, data: usize, level: libc::c_int, kind: libc::c_int) {
        self.0[at..at + 8].copy_from_slice(&(HEADER_BYTES + data).to_ne_bytes());
        self.0[at + 8..at + 12].copy_from_slice(&level.to_ne_bytes());
        self.0[at + 12..at + 16].copy_from_slice(&kind.to_ne_bytes());
    }
}

// The layout above is that of a 64-bit system, on which alone this compiles.
const _: () = {
    assert!(size_of::<libc::cmsghdr>() == HEADER_BYTES);
    assert!(size_of::<libc::in_pktinfo>() == 12 && size_of::<libc::in6_pktinfo>() == 20);
};

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
    const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    #[test]
    fn the_messages_lie_where_the_c_library_looks_for_them() {
        for (source, v6, bytes) in [(20, true, V6_SOURCE_BYTES), (12, false, V4_SOURCE_BYTES)] {
            // SAFETY: the argument is a number; nothing is dereferenced.
            let space = unsafe { [libc::CMSG_SPACE(source), libc::CMSG_SPACE(2)] };
            assert_eq!(space, [bytes as u32, SEGMENT_BYTES as u32], "{v6}");
            let mut control = ControlBuffer::EMPTY;
            let used = control.set_source(&V4, v6);
            assert_eq!(control.add_segment_size(used, 1_200), used + SEGMENT_BYTES);
        }
    }

    #[test]
    fn a_destination_is_read_as_a_source_is_written() {
        for (ip, v6) in [(V4, false), (V4, true), (V6, true)] {
            let mut control = ControlBuffer::EMPTY;
            let used = control.set_source(&ip, v6);

            assert_eq!(control.0[..8], (used - 4).to_ne_bytes());
            // `ipi_spec_dst` is what counts in both directions.
            assert_eq!(control.destination(used), Some(ip));
            assert_eq!(control.destination(0), None);
            assert_eq!(control.destination(15), None);
        }
    }
}
