//! Tokens, kept as hashes and compared in constant time.

use authloop_protocol::id::Blob;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

/// SHA-256 of a secret that the server itself does not keep.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash")
    }
}

/// Hashes a secret that came in a message and wipes it.
pub(crate) fn take_hash(mut secret: Blob) -> SecretHash {
    let hash = SecretHash::of(&secret.0);
    secret.0.zeroize();
    hash
}

/// Fresh bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_only_its_own_secret_and_shows_none() {
        let hash = SecretHash::of(b"secret");
        assert!(hash.matches(&take_hash(Blob::from(b"secret"))));
        assert!(!hash.matches(&SecretHash::of(b"secreT")));
        assert_eq!(format!("{hash:?}"), "SecretHash");
    }
}
