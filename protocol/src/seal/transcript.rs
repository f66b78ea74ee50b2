//! What both sides confirm of their handshake.

use sha2::{Digest as _, Sha256};

use crate::{id::SessionId, invitation::Fingerprint};

/// What both sides confirm over the data channel (`docs/PROTOCOL.md` section 8).
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// The session.
    pub id: SessionId,
    /// SHA-256 of the hello blob.
    pub hello_hash: &'a [u8; 32],
    /// The host's description as it travelled.
    pub offer: &'a str,
    /// The viewer's description as it travelled.
    pub answer: &'a str,
    /// The host's certificate, as DTLS presented it.
    pub host: &'a Fingerprint,
    /// The viewer's certificate, as DTLS presented it.
    pub viewer: &'a Fingerprint,
}

impl Transcript<'_> {
    /// SHA-256 over all of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"authloop/1 transcript");
        hash.update(self.id.0);
        hash.update(self.hello_hash);
        hash.update(Sha256::digest(self.offer));
        hash.update(Sha256::digest(self.answer));
        hash.update(self.host.to_string());
        hash.update([0]);
        hash.update(self.viewer.to_string());
        hash.finalize().into()
    }
}
