//! What the load carries: enough to tell who sent a packet, when, and to whom.

/// RTP version 2: what the relay passes on as media.
const FIRST_BYTE: u8 = 0x80;
/// First byte, direction, two spare, session, time.
pub(crate) const HEADER_BYTES: usize = 16;

/// One measured packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// From host to viewer, or back.
    pub video: bool,
    /// Which session it belongs to.
    pub session: u32,
    /// When it was sent, in nanoseconds of the driver's clock.
    pub sent: u64,
}

impl Packet {
    /// Writes the header over the first bytes of `out`.
    pub(crate) fn write(self, out: &mut [u8]) {
        out[..4].copy_from_slice(&[FIRST_BYTE, u8::from(self.video), 0, 0]);
        out[4..8].copy_from_slice(&self.session.to_be_bytes());
        out[8..HEADER_BYTES].copy_from_slice(&self.sent.to_be_bytes());
    }

    /// Reads a header back; anything else is none of the load's.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [
            FIRST_BYTE,
            video,
            0,
            0,
            session @ ..,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = *header
        else {
            return None;
        };
        let sent = header.last_chunk::<8>()?;
        Some(Self {
            video: video == 1,
            session: u32::from_be_bytes(session),
            sent: u64::from_be_bytes(*sent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip() {
        let packet = Packet {
            video: true,
            session: 9_999,
            sent: u64::MAX - 5,
        };
        let mut bytes = [0; 1200];

        packet.write(&mut bytes);

        assert_eq!(Packet::parse(&bytes), Some(packet));
        assert_eq!(Packet::parse(&bytes[..15]), None);
    }
}
