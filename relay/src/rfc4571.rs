//! Datagrams on a byte stream as ICE-TCP has them (RFC 4571 §2, RFC 6544 §3): two octets of length.

use crate::MAX_DATAGRAM_BYTES;

/// Octets before each datagram.
const HEADER_BYTES: usize = 2;

/// A frame longer than any datagram of WebRTC's: the stream cannot be followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame is longer than any datagram may be")]
pub struct FrameTooLong;

/// The first frame's datagram and how many bytes it took; `None` while it is not all there.
///
/// # Errors
/// When the frame is longer than [`MAX_DATAGRAM_BYTES`].
pub fn split(stream: &[u8]) -> Result<Option<(&[u8], usize)>, FrameTooLong> {
    let Some(header) = stream.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let end = HEADER_BYTES + usize::from(u16::from_be_bytes(*header));
    if end > HEADER_BYTES + MAX_DATAGRAM_BYTES {
        return Err(FrameTooLong);
    }
    let datagram = stream.get(HEADER_BYTES..end);
    Ok(datagram.map(|datagram| (datagram, end)))
}

/// Appends a datagram as one frame; `false` if it is too long for any.
pub fn write(out: &mut Vec<u8>, datagram: &[u8]) -> bool {
    match u16::try_from(datagram.len()) {
        Ok(length) if datagram.len() <= MAX_DATAGRAM_BYTES => {
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(datagram);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn datagrams_survive_the_stream(
            datagrams in vec(vec(any::<u8>(), 0..=MAX_DATAGRAM_BYTES), 0..8)
        ) {
            let mut stream = Vec::new();
            for datagram in &datagrams {
                prop_assert!(write(&mut stream, datagram));
            }

            let mut rest = &stream[..];
            let mut read = Vec::new();
            while let Some((datagram, used)) = split(rest).unwrap() {
                read.push(datagram.to_vec());
                rest = &rest[used..];
            }

            prop_assert!(rest.is_empty());
            prop_assert_eq!(read, datagrams);
        }

        #[test]
        fn a_part_of_a_frame_is_awaited(datagram in vec(any::<u8>(), 0..64), cut in 0usize..66) {
            let mut stream = Vec::new();
            write(&mut stream, &datagram);
            let cut = cut % stream.len();

            prop_assert_eq!(split(&stream[..cut]), Ok(None));
        }
    }

    #[test]
    fn a_frame_that_no_datagram_fills_is_refused() {
        assert_eq!(split(&[0xff, 0xff, 1]), Err(FrameTooLong));
        assert!(!write(&mut Vec::new(), &[0; MAX_DATAGRAM_BYTES + 1]));
    }
}
