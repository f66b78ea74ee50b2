//! What stands on a TURN stream: STUN messages and ChannelData (RFC 8656 §12.5).

use crate::{
    MAX_DATAGRAM_BYTES,
    stun::{HEADER_BYTES, MAGIC_COOKIE},
};

/// The longest body: a datagram, and what a Send indication puts around it.
const MAX_BODY_BYTES: usize = MAX_DATAGRAM_BYTES + 128;
/// RFC 8656 §12.4: number and length.
const CHANNEL_HEADER_BYTES: usize = 4;
/// RFC 8656 §12: the channel numbers that there are.
pub(super) const CHANNEL_NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// One unit of the stream, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnFrame<'a> {
    /// A STUN message, whole.
    Stun(&'a [u8]),
    /// ChannelData without its padding.
    Channel {
        /// 0x4000..=0x4fff.
        number: u16,
        /// What goes to the relay.
        data: &'a [u8],
    },
}

/// The stream is not TURN's, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a STUN message nor ChannelData")]
pub struct TurnStreamError;

/// The first frame and how many bytes it took; `None` while it is not all there.
///
/// # Errors
/// When the stream cannot be followed.
pub fn split(stream: &[u8]) -> Result<Option<(TurnFrame<'_>, usize)>, TurnStreamError> {
    let Some([k0, k1, l0, l1]) = stream.first_chunk::<4>() else {
        return Ok(None);
    };
    let (kind, length) = (
        u16::from_be_bytes([*k0, *k1]),
        usize::from(u16::from_be_bytes([*l0, *l1])),
    );
    if length > MAX_BODY_BYTES {
        return Err(TurnStreamError);
    }
    if CHANNEL_NUMBERS.contains(&kind) {
        // RFC 8656 §12.5: padded on a stream, and the length does not say so.
        let end = CHANNEL_HEADER_BYTES + length.next_multiple_of(4);
        let Some(frame) = stream.get(..end) else {
            return Ok(None);
        };
        let data = frame.get(CHANNEL_HEADER_BYTES..CHANNEL_HEADER_BYTES + length);
        let data = data.ok_or(TurnStreamError)?;
        return Ok(Some((TurnFrame::Channel { number: kind, data }, end)));
    }
    let cookie = stream.get(4..8);
    if kind & 0xc000 != 0 || length % 4 != 0 || cookie.is_some_and(|bytes| bytes != MAGIC_COOKIE) {
        return Err(TurnStreamError);
    }
    let end = HEADER_BYTES + length;
    Ok(stream.get(..end).map(|frame| (TurnFrame::Stun(frame), end)))
}

/// Appends ChannelData, padded as on a stream.
pub(super) fn write_channel(out: &mut Vec<u8>, number: u16, data: &[u8]) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    let padding = data.len().next_multiple_of(4) - data.len();
    out.extend_from_slice(&[0; 3][..padding]);
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn channel_data_survives_the_stream(
            number in CHANNEL_NUMBERS,
            data in vec(any::<u8>(), 0..=MAX_DATAGRAM_BYTES),
            rest in vec(any::<u8>(), 0..8),
        ) {
            let mut stream = Vec::new();
            write_channel(&mut stream, number, &data);
            let length = stream.len();
            prop_assert_eq!(split(&stream[..length - 1]), Ok(None));
            stream.extend_from_slice(&rest);

            let split = split(&stream);

            prop_assert_eq!(split, Ok(Some((TurnFrame::Channel { number, data: &data }, length))));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, used))) = split(&bytes) {
                prop_assert!(used > 0 && used <= bytes.len());
            }
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert_eq!(split(b"GET / HTTP/1.1"), Err(TurnStreamError));
        assert_eq!(split(&[0x40, 0, 0xff, 0xff]), Err(TurnStreamError));
        assert_eq!(split(&[0, 3, 0, 0, 1, 2, 3, 4]), Err(TurnStreamError));
    }
}
