//! Which protocol a datagram speaks, by its first byte.

/// What a datagram is, as far as the relay may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// Spoken with the relay itself.
    Stun,
    /// Passed on; kept for a moment while the other leg is not ready.
    Dtls,
    /// SRTP or SRTCP: passed on or dropped, never kept.
    Srtp,
    /// Nothing that WebRTC sends: ZRTP, TURN channels, QUIC, noise.
    Unknown,
}

impl DatagramKind {
    /// Classifies a datagram as RFC 7983 §7 does.
    #[inline]
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            Some(128..=191) => Self::Srtp,
            Some(_) | None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_one_kind() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                0..=3 => DatagramKind::Stun,
                20..=63 => DatagramKind::Dtls,
                128..=191 => DatagramKind::Srtp,
                _ => DatagramKind::Unknown,
            };
            assert_eq!(
                DatagramKind::of(&[byte, 1, 2]),
                expected,
                "first byte {byte}"
            );
        }
        assert_eq!(DatagramKind::of(&[]), DatagramKind::Unknown);
    }
}
