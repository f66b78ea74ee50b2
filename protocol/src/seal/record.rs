//! Records under the keys of a hello: what travels sealed after it, either way.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Nonce, Payload},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    blob::{BlobKind, RECORD_HEADER_BYTES, RECORD_KIND, blob_kind},
    error::SealError,
};
use crate::{input::DeclineReason, signal::Outcome};

/// What travels sealed after the hello, either way.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub enum SealedSignal {
    /// The host's description.
    Offer {
        /// SDP (RFC 8866).
        sdp: String,
    },
    /// The viewer's description.
    Answer {
        /// SDP (RFC 8866).
        sdp: String,
    },
    /// The user refuses without connecting.
    Decline {
        /// Why.
        reason: DeclineReason,
    },
    /// The host refuses the hello.
    Refuse {
        /// A stable name, for programs.
        code: String,
        /// One sentence, for people.
        message: String,
    },
    /// How the handoff ended, to a viewer that may have no connection.
    Outcome {
        /// How.
        outcome: Outcome,
        /// One sentence, for people.
        message: String,
    },
}

/// Names the kind only: descriptions hold ICE passwords.
impl std::fmt::Debug for SealedSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Offer { .. } => "Offer",
            Self::Answer { .. } => "Answer",
            Self::Decline { .. } => "Decline",
            Self::Refuse { .. } => "Refuse",
            Self::Outcome { .. } => "Outcome",
        })
    }
}

/// Seals one direction's records.
pub struct RecordSealer {
    cipher: Aes256Gcm,
    hello: [u8; 8],
    counter: u64,
}

impl std::fmt::Debug for RecordSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordSealer").finish_non_exhaustive()
    }
}

impl RecordSealer {
    pub(super) fn new(key: &[u8; 32], hello: [u8; 8]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            hello,
            counter: 0,
        }
    }

    /// Seals the next record.
    ///
    /// # Errors
    /// [`SealError::Exhausted`] after 2^64 - 1 records.
    pub fn seal(&mut self, signal: &SealedSignal) -> Result<Vec<u8>, SealError> {
        let plain = Zeroizing::new(serde_json::to_vec(signal).map_err(|_| SealError::Refused)?);
        let mut blob = Vec::with_capacity(RECORD_HEADER_BYTES + plain.len() + 16);
        blob.push(RECORD_KIND);
        blob.extend_from_slice(&self.hello);
        blob.extend_from_slice(&self.counter.to_be_bytes());
        let payload = Payload {
            msg: &plain,
            aad: &blob,
        };
        let ciphertext = self
            .cipher
            .encrypt(&nonce(self.counter), payload)
            .map_err(|_| SealError::Refused)?;
        self.counter = self.counter.checked_add(1).ok_or(SealError::Exhausted)?;
        blob.extend_from_slice(&ciphertext);
        Ok(blob)
    }
}

/// Opens one direction's records, each counter once and in order.
pub struct RecordOpener {
    cipher: Aes256Gcm,
    hello: [u8; 8],
    next: u64,
}

impl std::fmt::Debug for RecordOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordOpener").finish_non_exhaustive()
    }
}

impl RecordOpener {
    pub(super) fn new(key: &[u8; 32], hello: [u8; 8]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            hello,
            next: 0,
        }
    }

    /// Opens a record blob.
    ///
    /// # Errors
    /// [`SealError::Replayed`] for a counter already passed, [`SealError::Refused`] for anything
    /// that this hello's peer did not seal.
    pub fn open(&mut self, blob: &[u8]) -> Result<SealedSignal, SealError> {
        if blob_kind(blob) != Some(BlobKind::Record(self.hello)) {
            return Err(SealError::Refused);
        }
        let (header, ciphertext) = blob.split_at(RECORD_HEADER_BYTES);
        let mut counter = [0; 8];
        counter.copy_from_slice(&header[9..]);
        let counter = u64::from_be_bytes(counter);
        if counter < self.next {
            return Err(SealError::Replayed);
        }
        let payload = Payload {
            msg: ciphertext,
            aad: header,
        };
        let plain = Zeroizing::new(
            self.cipher
                .decrypt(&nonce(counter), payload)
                .map_err(|_| SealError::Refused)?,
        );
        let signal = serde_json::from_slice(&plain).map_err(|_| SealError::Refused)?;
        self.next = counter.checked_add(1).ok_or(SealError::Exhausted)?;
        Ok(signal)
    }
}

/// The AES-GCM nonce of a counter: four zero bytes, then the counter.
pub(crate) fn nonce(counter: u64) -> Nonce<Aes256Gcm> {
    let mut bytes = Nonce::<Aes256Gcm>::default();
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    bytes
}
