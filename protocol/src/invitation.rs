//! The invitation: what the link's hash binds (`docs/PROTOCOL.md` section 1).

use std::net::Ipv6Addr;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    id::{Blob, SessionId},
    link::InvitationHash,
    plain_text::is_plain,
};

/// The largest invitation, in bytes.
pub const MAX_INVITATION_BYTES: usize = 8 * 1024;
const MAX_REQUESTER_BYTES: usize = 120;
const MAX_REASON_BYTES: usize = 300;
const MAX_ORIGINS: usize = 16;
const MAX_ORIGIN_BYTES: usize = 255;
/// The latest time of expiry: the end of the year 9999, past which no date can be written (RFC 3339).
const MAX_EXPIRES: u64 = 253_402_300_799;
/// The most sites that a private room's session may go to.
pub const MAX_SITES: usize = 8;
/// The longest site, that of a name in the DNS (RFC 1035 section 2.3.4).
const MAX_SITE_BYTES: usize = 253;

/// What the host asks of the user, and the keys it will answer with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The protocol's version, 1.
    pub v: u8,
    /// The session.
    pub id: SessionId,
    /// The host's HPKE public key, P-256, uncompressed SEC1, 65 bytes.
    pub hpke: Blob,
    /// The host's DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Who asks, in plain text ([`crate::plain_text`]), not empty.
    pub requester: String,
    /// Why, in plain text.
    pub reason: String,
    /// The origins where the user is expected to sign in (RFC 6454); empty for any.
    pub origins: Vec<String>,
    /// When the session ends by itself, Unix seconds.
    pub expires: u64,
    /// The private room where the user signs in; `None`, and left out, for the agent's own browser.
    ///
    /// A viewer from before rooms refuses an invitation with it: it could not show what is promised.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub room: Option<PrivateRoom>,
}

/// A browser that the agent cannot see, and what the agent gets of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateRoom {
    /// With what the room begins.
    pub start: RoomStart,
    /// The granted sites, 1 to [`MAX_SITES`]: registrable domains, IP addresses or `localhost`.
    pub sites: Vec<String>,
}

/// With what a private room begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomStart {
    /// Origin and path of an address, and nothing else.
    Fresh,
    /// The whole address of the agent's page, with cookies and storage of the granted sites.
    AsIs,
}

/// A member that is there is not `null`, so that an invitation has one form.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PrivateRoom>, D::Error> {
    PrivateRoom::deserialize(deserializer).map(Some)
}

impl Invitation {
    /// The exact bytes that travel and are hashed.
    ///
    /// # Errors
    /// [`InvitationError`] when a field is out of bounds.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvitationError> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|_| InvitationError::Malformed)?;
        if bytes.len() > MAX_INVITATION_BYTES {
            return Err(InvitationError::TooLong("invitation"));
        }
        Ok(bytes)
    }

    /// Parses exact bytes.
    ///
    /// # Errors
    /// [`InvitationError`] when they are not one invitation within bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvitationError> {
        if bytes.len() > MAX_INVITATION_BYTES {
            return Err(InvitationError::TooLong("invitation"));
        }
        let parsed: Self = serde_json::from_slice(bytes).map_err(|_| InvitationError::Malformed)?;
        parsed.check()?;
        Ok(parsed)
    }

    fn check(&self) -> Result<(), InvitationError> {
        if self.v != 1 {
            return Err(InvitationError::Version(self.v));
        }
        if self.hpke.0.len() != 65 {
            return Err(InvitationError::Malformed);
        }
        if self.requester.len() > MAX_REQUESTER_BYTES {
            return Err(InvitationError::TooLong("requester"));
        }
        if self.reason.len() > MAX_REASON_BYTES {
            return Err(InvitationError::TooLong("reason"));
        }
        if self.requester.is_empty() || !is_plain(&self.requester) {
            return Err(InvitationError::NotPlain("requester"));
        }
        if !is_plain(&self.reason) {
            return Err(InvitationError::NotPlain("reason"));
        }
        if self.origins.len() > MAX_ORIGINS
            || self
                .origins
                .iter()
                .any(|origin| origin.len() > MAX_ORIGIN_BYTES)
        {
            return Err(InvitationError::TooLong("origins"));
        }
        if self.expires > MAX_EXPIRES {
            return Err(InvitationError::Expires(self.expires));
        }
        if !self.origins.iter().all(|origin| is_plain(origin)) {
            return Err(InvitationError::NotPlain("origins"));
        }
        self.room.as_ref().map_or(Ok(()), PrivateRoom::check)
    }
}

impl PrivateRoom {
    fn check(&self) -> Result<(), InvitationError> {
        let count = self.sites.len();
        if !(1..=MAX_SITES).contains(&count) {
            return Err(InvitationError::SiteCount(count));
        }
        match self.sites.iter().find(|site| !is_site(site)) {
            Some(site) => Err(InvitationError::Site(site.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a name may be shown as a granted site: a host as an origin writes it, in lower case, names
/// in other scripts as punycode, so that it cannot pass for another name.
fn is_site(site: &str) -> bool {
    let address = site
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    site.len() <= MAX_SITE_BYTES
        && match address {
            Some(address) => {
                address.parse::<Ipv6Addr>().is_ok()
                    && !address.bytes().any(|byte| byte.is_ascii_uppercase())
            }
            None => site.split('.').all(label),
        }
}

/// SHA-256 of the exact bytes.
#[must_use]
pub fn invitation_hash(bytes: &[u8]) -> InvitationHash {
    InvitationHash(Sha256::digest(bytes).into())
}

/// A DTLS certificate's fingerprint in SDP's form: `sha-256 AA:BB:…`, upper case (RFC 8122).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Parses SDP's form in either case; `None` for another hash or a malformed one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(' ')?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut bytes = [0; 32];
        let mut parts = hex.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            })?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha-256 ")?;
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a sha-256 fingerprint")
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// An invitation that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// The bytes are not an invitation's JSON.
    #[error("the invitation is malformed")]
    Malformed,
    /// It speaks another protocol version.
    #[error("the invitation has version {0}, this program speaks 1")]
    Version(u8),
    /// A part is over its limit.
    #[error("the invitation's {0} is too long")]
    TooLong(&'static str),
    /// It expires later than a date can say.
    #[error("the invitation's `expires` is {0}: give Unix seconds up to the year 9999")]
    Expires(u64),
    /// A part has what is not shown, turns the words around it, or runs over them; or nobody asks.
    #[error(
        "the invitation's {0} is not one line of plain text: leave out control characters, line \
         breaks, characters that turn the direction of writing, and more than two marks on a letter"
    )]
    NotPlain(&'static str),
    /// A private room names no site, or too many.
    #[error("the invitation's room names {0} sites, it takes 1 to {MAX_SITES}")]
    SiteCount(usize),
    /// A private room names what is not a site.
    #[error(
        "the invitation's room names {0:?}, which is not a site: give a host name in lower case, \
         names in other scripts as punycode, or an IP address"
    )]
    Site(String),
}
