//! Fixed-size input frames and padded output records, sealed once more inside DTLS
//! (`docs/PROTOCOL.md` section 8).

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use crate::{
    output::OutputMessage,
    seal::{SealError, nonce},
};

/// The size of every input frame on the data channel, in bytes.
pub const FRAME_BYTES: usize = 256;
/// The size of a frame's plaintext, in bytes.
const PLAINTEXT_BYTES: usize = FRAME_BYTES - COUNTER_BYTES - TAG_BYTES;
const COUNTER_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// Sequence, epoch, flags, length.
const HEADER_BYTES: usize = 8 + 4 + 1 + 2;
/// The most bytes of a message that one frame carries.
pub const MAX_BODY_BYTES: usize = PLAINTEXT_BYTES - HEADER_BYTES;
/// The largest message over all its frames, in bytes.
pub const MAX_INPUT_BYTES: usize = 40 * 1024;
/// The largest output record, in bytes of JSON.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;
/// Output records are padded to a multiple of this many bytes.
const OUTPUT_PADDING_BYTES: usize = 64;

const MORE_FLAG: u8 = 1;
const FILLER_FLAG: u8 = 2;
const CONTROL_FLAG: u8 = 4;

/// What a frame holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// A part of an input event.
    Input {
        /// Its place in the stream, from 1.
        sequence: u64,
        /// The navigation epoch it was meant for.
        epoch: u32,
        /// Whether the message goes on in the next frame.
        more: bool,
        /// This part's bytes.
        body: Zeroizing<Vec<u8>>,
    },
    /// Nothing, to keep the tick.
    Filler,
    /// A message about the connection itself.
    Control {
        /// JSON.
        body: Vec<u8>,
    },
}

/// Shows no body.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input { sequence, .. } => write!(f, "Input({sequence})"),
            Self::Filler => f.write_str("Filler"),
            Self::Control { .. } => f.write_str("Control"),
        }
    }
}

/// Seals the viewer's frames.
pub struct FrameSealer(CounterSealer);

impl std::fmt::Debug for FrameSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameSealer").finish_non_exhaustive()
    }
}

impl FrameSealer {
    /// For a hello's v2h data key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(CounterSealer::new(key))
    }

    /// Seals the next frame.
    ///
    /// # Errors
    /// [`SealError::Refused`] for a body over [`MAX_BODY_BYTES`].
    pub fn seal(&mut self, frame: &Frame) -> Result<Vec<u8>, SealError> {
        let (sequence, epoch, flags, body): (u64, u32, u8, &[u8]) = match frame {
            Frame::Input {
                sequence,
                epoch,
                more,
                body,
            } => (*sequence, *epoch, u8::from(*more) * MORE_FLAG, body),
            Frame::Filler => (0, 0, FILLER_FLAG, &[]),
            Frame::Control { body } => (0, 0, CONTROL_FLAG, body),
        };
        if body.len() > MAX_BODY_BYTES {
            return Err(SealError::Refused);
        }
        let length = u16::try_from(body.len()).map_err(|_| SealError::Refused)?;
        let mut plain = Zeroizing::new([0; PLAINTEXT_BYTES]);
        plain[..8].copy_from_slice(&sequence.to_be_bytes());
        plain[8..12].copy_from_slice(&epoch.to_be_bytes());
        plain[12] = flags;
        plain[13..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        plain[HEADER_BYTES..HEADER_BYTES + body.len()].copy_from_slice(body);
        self.0.seal(&*plain)
    }
}

/// Opens the viewer's frames at the host, each counter exactly once and in order.
pub struct FrameOpener(CounterOpener);

impl std::fmt::Debug for FrameOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameOpener").finish_non_exhaustive()
    }
}

impl FrameOpener {
    /// For a hello's v2h data key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(CounterOpener::new(key))
    }

    /// Opens the next frame.
    ///
    /// # Errors
    /// [`SealError`] for anything but the next frame of exactly [`FRAME_BYTES`] bytes.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Frame, SealError> {
        if bytes.len() != FRAME_BYTES {
            return Err(SealError::Refused);
        }
        let plain = self.0.open(bytes)?;
        parse_frame(&plain).ok_or(SealError::Refused)
    }
}

fn parse_frame(plain: &[u8]) -> Option<Frame> {
    let (sequence, rest) = plain.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (&flags, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let body = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    let sequence = u64::from_be_bytes(*sequence);
    match (flags, sequence) {
        (0 | MORE_FLAG, 1..) => Some(Frame::Input {
            sequence,
            epoch: u32::from_be_bytes(*epoch),
            more: flags == MORE_FLAG,
            body: Zeroizing::new(body.to_vec()),
        }),
        (FILLER_FLAG, 0) => Some(Frame::Filler),
        (CONTROL_FLAG, 0) => Some(Frame::Control {
            body: body.to_vec(),
        }),
        _ => None,
    }
}

/// Seals the host's records.
pub struct OutputSealer(CounterSealer);

impl std::fmt::Debug for OutputSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputSealer").finish_non_exhaustive()
    }
}

impl OutputSealer {
    /// For a hello's h2v data key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(CounterSealer::new(key))
    }

    /// Seals the next record, padded.
    ///
    /// # Errors
    /// [`SealError::Refused`] for a message over [`MAX_OUTPUT_BYTES`].
    pub fn seal(&mut self, message: &OutputMessage) -> Result<Vec<u8>, SealError> {
        let json = serde_json::to_vec(message).map_err(|_| SealError::Refused)?;
        if json.len() > MAX_OUTPUT_BYTES {
            return Err(SealError::Refused);
        }
        let length = u32::try_from(json.len()).map_err(|_| SealError::Refused)?;
        let mut plain = Vec::with_capacity((4 + json.len()).next_multiple_of(OUTPUT_PADDING_BYTES));
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(&json);
        plain.resize(plain.len().next_multiple_of(OUTPUT_PADDING_BYTES), 0);
        self.0.seal(&plain)
    }
}

/// Opens the host's records at a viewer.
pub struct OutputOpener(CounterOpener);

impl std::fmt::Debug for OutputOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputOpener").finish_non_exhaustive()
    }
}

impl OutputOpener {
    /// For a hello's h2v data key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(CounterOpener::new(key))
    }

    /// Opens the next record.
    ///
    /// # Errors
    /// [`SealError`] for anything but the next record.
    pub fn open(&mut self, bytes: &[u8]) -> Result<OutputMessage, SealError> {
        let plain = self.0.open(bytes)?;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(SealError::Refused)?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Refused)?;
        let json = rest.get(..length).ok_or(SealError::Refused)?;
        serde_json::from_slice(json).map_err(|_| SealError::Refused)
    }
}

struct CounterSealer {
    cipher: Aes256Gcm,
    counter: u64,
}

impl CounterSealer {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            counter: 0,
        }
    }

    fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let counter = self.counter.to_be_bytes();
        let payload = Payload {
            msg: plain,
            aad: &counter,
        };
        let ciphertext = self
            .cipher
            .encrypt(&nonce(self.counter), payload)
            .map_err(|_| SealError::Refused)?;
        self.counter = self.counter.checked_add(1).ok_or(SealError::Exhausted)?;
        Ok([counter.as_slice(), &ciphertext].concat())
    }
}

struct CounterOpener {
    cipher: Aes256Gcm,
    next: u64,
}

impl CounterOpener {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            next: 0,
        }
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (aad, ciphertext) = bytes
            .split_first_chunk::<COUNTER_BYTES>()
            .ok_or(SealError::Refused)?;
        let counter = u64::from_be_bytes(*aad);
        // The channel is ordered and reliable: any other counter was not sent by the peer.
        if counter != self.next {
            return Err(SealError::Replayed);
        }
        let payload = Payload {
            msg: ciphertext,
            aad,
        };
        let plain = self
            .cipher
            .decrypt(&nonce(counter), payload)
            .map_err(|_| SealError::Refused)?;
        self.next = counter.checked_add(1).ok_or(SealError::Exhausted)?;
        Ok(Zeroizing::new(plain))
    }
}
