//! Secrets in messages, and fresh ones.

use authloop_bearer::SecretHash;
use authloop_protocol::id::Blob;
use zeroize::Zeroize as _;

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
    fn a_secret_from_a_message_has_its_own_hash() {
        let hash = SecretHash::of(b"secret");
        assert!(hash.matches(&take_hash(Blob::from(b"secret"))));
        assert!(!hash.matches(&take_hash(Blob::from(b"secreT"))));
    }
}
