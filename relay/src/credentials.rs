//! ICE credentials: the relay's own, one pair a leg, and the endpoint's.

use std::fmt;

/// RFC 8839 §5.4: ufrag is 4 to 256 ice-chars, pwd 22 to 256.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PWD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// The base64 alphabet, which is exactly RFC 8839's ice-char.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A leg's username fragment at the relay: 96 bits as sixteen ice-chars.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalUfrag([u8; LocalUfrag::LEN]);

/// A leg's password at the relay: 144 bits as twenty-four ice-chars.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalPwd([u8; LocalPwd::LEN]);

/// What one endpoint needs to reach its leg.
#[derive(Clone, PartialEq, Eq)]
pub struct LegCredentials {
    /// Names the leg in every check.
    pub ufrag: LocalUfrag,
    /// Proves that the sender was told about the leg.
    pub pwd: LocalPwd,
}

/// The endpoint's own credentials, used for the relay's return-routability checks only.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteCredentials {
    bytes: Box<[u8]>,
    split: u16,
}

/// Why an endpoint's credentials were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Shorter or longer than RFC 8839 §5.4 allows.
    #[error("ICE {0} has a length outside of RFC 8839's bounds")]
    Length(&'static str),
    /// Holds something other than an ice-char: it could inject a line into SDP.
    #[error("ICE {0} holds a character that is not an ice-char")]
    Character(&'static str),
}

impl LocalUfrag {
    /// Length in ice-chars.
    pub const LEN: usize = 16;

    /// Takes a ufrag back from its wire form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The ufrag as ice-chars.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl LocalPwd {
    /// Length in ice-chars.
    pub const LEN: usize = 24;

    /// The password as ice-chars.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl LegCredentials {
    /// Bytes of entropy that one leg's credentials are spelled from.
    pub const ENTROPY_BYTES: usize = 30;

    /// Spells credentials from fresh entropy; every bit of it counts.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; Self::ENTROPY_BYTES]) -> Self {
        let (ufrag, pwd) = entropy.split_at(12);
        Self {
            ufrag: LocalUfrag(to_ice_chars(ufrag)),
            pwd: LocalPwd(to_ice_chars(pwd)),
        }
    }
}

impl RemoteCredentials {
    /// Parses what an endpoint's description says.
    ///
    /// # Errors
    /// When either part breaks RFC 8839 §5.4.
    pub fn parse(ufrag: &str, pwd: &str) -> Result<Self, CredentialsError> {
        for (name, text, len) in [("ufrag", ufrag, UFRAG_LEN), ("pwd", pwd, PWD_LEN)] {
            if !len.contains(&text.len()) {
                return Err(CredentialsError::Length(name));
            }
            if !text.bytes().all(|b| ICE_CHARS.contains(&b)) {
                return Err(CredentialsError::Character(name));
            }
        }
        Ok(Self {
            bytes: [ufrag.as_bytes(), pwd.as_bytes()].concat().into(),
            split: ufrag.len() as u16,
        })
    }

    pub(crate) fn ufrag(&self) -> &[u8] {
        self.parts().0
    }

    pub(crate) fn pwd(&self) -> &[u8] {
        self.parts().1
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(usize::from(self.split))
    }
}

fn to_ice_chars<const N: usize>(entropy: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| {
        let (byte, shift) = (at * 6 / 8, at * 6 % 8);
        let pair = [entropy.get(byte), entropy.get(byte + 1)].map(|b| b.copied().unwrap_or(0));
        let bits = (u16::from_be_bytes(pair) << shift) >> 10;
        ICE_CHARS[usize::from(bits)]
    })
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Debug for LocalUfrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LocalPwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for LegCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LegCredentials").field(&self.ufrag).finish()
    }
}

impl fmt::Debug for RemoteCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ufrag = ascii(self.ufrag());
        f.debug_tuple("RemoteCredentials").field(&ufrag).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_spelled_as_base64_would() {
        let entropy = std::array::from_fn(|i| (i * 37 + 11) as u8);

        let spelled = LegCredentials::from_entropy(&entropy);

        assert_eq!(spelled.ufrag.as_str(), "CzBVep/E6Q4zWH2i");
        assert_eq!(spelled.pwd.as_str(), "x+wRNluApcrvFDleg6jN8hc8");
    }

    #[test]
    fn a_line_break_in_a_password_is_refused() {
        let parsed = RemoteCredentials::parse("abcd", "0123456789012345678901\r\na=x");

        assert_eq!(parsed, Err(CredentialsError::Character("pwd")));
    }

    #[test]
    fn a_debug_print_never_shows_a_password() {
        let local = LegCredentials::from_entropy(&[7; 30]);
        let remote = RemoteCredentials::parse("abcd", "0123456789012345678901").unwrap();

        let shown = format!("{local:?} {remote:?} {:?}", local.pwd);

        assert!(!shown.contains(local.pwd.as_str()) && !shown.contains("0123456789"));
    }

    proptest! {
        #[test]
        fn every_bit_of_entropy_counts(entropy: [u8; 30], bit in 0usize..240) {
            let mut other = entropy;
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(
                LegCredentials::from_entropy(&entropy),
                LegCredentials::from_entropy(&other)
            );
        }
    }
}
