//! STUN as ICE uses it (RFC 8489, RFC 8445): a borrowing parser and a writer for Binding.
//!
//! The parser never panics, never allocates and looks at each byte at most twice: what it refuses,
//! nobody may act upon.

mod parse;
mod write;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub use parse::{BindingMessage, StunClass, StunParseError};
pub(crate) use write::Writer;
pub use write::{BindingRequest, MAX_BINDING_BYTES, write_binding_success};

/// RFC 8489 §5.
pub(crate) const HEADER_BYTES: usize = 20;
/// RFC 8489 §5.
pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// RFC 8489 §14.7.
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// RFC 8489 §14.5: an HMAC-SHA1, never truncated.
pub(crate) const INTEGRITY_BYTES: usize = 20;
/// RFC 8489 §18.2: the Binding method.
pub(crate) const METHOD_BINDING: u16 = 0x001;

/// Attribute types: RFC 8489 §18.3, RFC 8445 §16.1, RFC 8656 §18.
pub(crate) mod attr {
    pub(crate) const USERNAME: u16 = 0x0006;
    pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(crate) const ERROR_CODE: u16 = 0x0009;
    pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(crate) const LIFETIME: u16 = 0x000d;
    pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(crate) const DATA: u16 = 0x0013;
    pub(crate) const REALM: u16 = 0x0014;
    pub(crate) const NONCE: u16 = 0x0015;
    pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(crate) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(crate) const PRIORITY: u16 = 0x0024;
    pub(crate) const USE_CANDIDATE: u16 = 0x0025;
    pub(crate) const FINGERPRINT: u16 = 0x8028;
    pub(crate) const ICE_CONTROLLED: u16 = 0x8029;
    pub(crate) const ICE_CONTROLLING: u16 = 0x802a;
}

/// A transaction's 96-bit name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// HMAC-SHA1 over a message up to (not with) MESSAGE-INTEGRITY at `end`.
///
/// RFC 8489 §14.5: the header's length is counted as if the message ended right after it.
pub(crate) fn integrity(message: &[u8], end: usize, key: &[u8]) -> Option<Hmac<Sha1>> {
    let length = u16::try_from(end + 4 + INTEGRITY_BYTES - HEADER_BYTES).ok()?;
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(message.get(..2)?);
    mac.update(&length.to_be_bytes());
    mac.update(message.get(4..end)?);
    Some(mac)
}

/// Whether there is a MESSAGE-INTEGRITY at `at` and it was made with `key`, compared in constant
/// time (RFC 8489 §14.5).
pub(crate) fn integrity_holds(message: &[u8], at: Option<usize>, key: &[u8]) -> bool {
    let Some(at) = at else {
        return false;
    };
    let tag = message.get(at + 4..at + 4 + INTEGRITY_BYTES);
    match (integrity(message, at, key), tag) {
        (Some(mac), Some(tag)) => mac.verify_slice(tag).is_ok(),
        _ => false,
    }
}

/// Whether the FINGERPRINT at `at` is right, or absent (RFC 8489 §14.7).
pub(crate) fn fingerprint_holds(message: &[u8], at: Option<usize>) -> bool {
    let Some(at) = at else {
        return true;
    };
    let (Some(covered), Some(value)) = (message.get(..at), message.get(at + 4..at + 8)) else {
        return false;
    };
    value == (crc32fast::hash(covered) ^ FINGERPRINT_XOR).to_be_bytes()
}

/// The attribute at `at`: its type, its value, and where the next one begins. `None` if it is cut
/// off (RFC 8489 §14).
pub(crate) fn attribute(message: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let head = message.get(at..at + 4)?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = message.get(at + 4..at + 4 + length)?;
    // The padded end may not lie beyond the datagram, whose length is a multiple of four.
    Some((kind, value, at + 4 + length.next_multiple_of(4)))
}
