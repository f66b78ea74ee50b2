//! The device key D: what proves that a viewer is the one that claimed the session.

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use sha2::{Digest as _, Sha256};

use crate::id::SessionId;

/// A P-256 public key, uncompressed SEC1, 65 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceKey {
    bytes: [u8; 65],
    key: VerifyingKey,
}

impl DeviceKey {
    /// Parses 65 bytes; `None` unless they are a point on the curve.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let array: [u8; 65] = bytes.try_into().ok()?;
        let key = VerifyingKey::from_sec1_bytes(&array).ok()?;
        Some(Self { bytes: array, key })
    }

    /// The key as it travels.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.bytes
    }

    /// Whether `signature` claims session `id` with `token` under this challenge.
    #[must_use]
    pub fn verify_claim(
        &self,
        id: SessionId,
        challenge: &[u8; 32],
        token: &[u8],
        signature: &[u8],
    ) -> bool {
        self.verify(&claim_message(id, challenge, token), signature)
    }

    /// Whether `signature` resumes session `id` under this challenge.
    #[must_use]
    pub fn verify_resume(&self, id: SessionId, challenge: &[u8; 32], signature: &[u8]) -> bool {
        self.verify(&resume_message(id, challenge), signature)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey")
    }
}

/// What a claim's signature covers.
#[must_use]
pub fn claim_message(id: SessionId, challenge: &[u8; 32], token: &[u8]) -> Vec<u8> {
    [
        b"authloop/1 claim".as_slice(),
        &id.0,
        challenge,
        &Sha256::digest(token),
    ]
    .concat()
}

/// What a resume's signature covers.
#[must_use]
pub fn resume_message(id: SessionId, challenge: &[u8; 32]) -> Vec<u8> {
    [b"authloop/1 resume".as_slice(), &id.0, challenge].concat()
}

/// What a hello's signature covers.
#[must_use]
pub fn hello_message(id: SessionId, enc: &[u8], nonce: &[u8; 32], fingerprint: &str) -> Vec<u8> {
    [
        b"authloop/1 hello".as_slice(),
        &id.0,
        enc,
        nonce,
        fingerprint.as_bytes(),
    ]
    .concat()
}
