//! The link's secret part and the keys that grow from it (`docs/PROTOCOL.md` sections 1 and 2).

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::id::{SessionId, from_b64u, to_b64u};

const VERSION: u8 = 1;
const FRAGMENT_BYTES: usize = 1 + 16 + 32 + 32;

/// The session secret S: 32 random bytes that only the link carries.
#[derive(Clone)]
pub struct LinkSecret(pub(crate) Zeroizing<[u8; 32]>);

impl LinkSecret {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// Never shows the bytes.
impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret(redacted)")
    }
}

/// SHA-256 of the invitation's exact bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvitationHash(pub [u8; 32]);

impl InvitationHash {
    /// Whether a link that ends with it ends in a letter or digit: what makes links of text leaves a last `_` or
    /// `-` out (GitHub Flavored Markdown, section 6.9).
    #[must_use]
    pub fn ends_in_alphanumeric(&self) -> bool {
        /// The first of the base64url alphabet's two other characters (RFC 4648 section 5).
        const MINUS: u8 = 62;
        self.0[31] & 0x3f < MINUS
    }
}

/// What stands behind the `#` of a session link.
#[derive(Clone, Debug)]
pub struct LinkFragment {
    /// The session.
    pub id: SessionId,
    /// Its secret.
    pub secret: LinkSecret,
    /// What the invitation must hash to.
    pub invitation: InvitationHash,
}

impl LinkFragment {
    /// The 108 characters that follow the `#`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FRAGMENT_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&*self.secret.0);
        bytes.extend_from_slice(&self.invitation.0);
        Zeroizing::new(to_b64u(&bytes))
    }

    /// Parses what follows the `#`.
    ///
    /// # Errors
    /// [`LinkError`] for a cut, foreign or newer link.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let bytes = Zeroizing::new(from_b64u(text).ok_or(LinkError::Malformed)?);
        let (&version, rest) = bytes.split_first().ok_or(LinkError::Malformed)?;
        if version != VERSION {
            return Err(LinkError::Version(version));
        }
        let (id, rest) = rest.split_first_chunk::<16>().ok_or(LinkError::Malformed)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(LinkError::Malformed)?;
        let hash: [u8; 32] = rest.try_into().map_err(|_| LinkError::Malformed)?;
        Ok(Self {
            id: SessionId(*id),
            secret: LinkSecret::new(*secret),
            invitation: InvitationHash(hash),
        })
    }
}

/// A link that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The link is cut or was never one.
    #[error("the link is incomplete")]
    Malformed,
    /// The link is of another protocol version.
    #[error("the link has version {0}, this program speaks 1")]
    Version(u8),
}

/// T and K: what the link's secret proves to the server and to the host.
pub struct LinkKeys {
    /// The claim token T, shown to the server once.
    pub claim_token: Zeroizing<[u8; 32]>,
    /// The pre-shared key K, for HPKE.
    pub psk: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkKeys").finish_non_exhaustive()
    }
}

impl LinkKeys {
    /// Derives both by HKDF-SHA-256 (RFC 5869); `origin` is the public signaling origin.
    #[must_use]
    pub fn derive(secret: &LinkSecret, origin: &str, id: SessionId) -> Self {
        let length = u32::try_from(origin.len()).unwrap_or(u32::MAX);
        let salt = [
            b"authloop/1 salt".as_slice(),
            &length.to_be_bytes(),
            origin.as_bytes(),
            &id.0,
        ]
        .concat();
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &*secret.0);
        Self {
            claim_token: expand(&hkdf, b"authloop/1 claim"),
            psk: expand(&hkdf, b"authloop/1 psk"),
        }
    }

    /// What the server keeps of T.
    #[must_use]
    pub fn claim_hash(&self) -> [u8; 32] {
        Sha256::digest(self.claim_token.as_slice()).into()
    }
}

fn expand(hkdf: &Hkdf<Sha256>, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA-256 gives up to 8,160 bytes, RFC 5869 section 2.3"
    )]
    hkdf.expand(info, &mut *key)
        .expect("32 bytes are within HKDF's reach");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_how_its_link_ends() {
        for last in 0..=u8::MAX {
            let mut hash = InvitationHash([0; 32]);
            hash.0[31] = last;
            let link = LinkFragment {
                id: SessionId([0; 16]),
                secret: LinkSecret::new([0; 32]),
                invitation: hash,
            };
            let ends = link
                .encode()
                .ends_with(|last: char| last.is_ascii_alphanumeric());
            assert_eq!(hash.ends_in_alphanumeric(), ends, "{last}");
        }
    }
}
