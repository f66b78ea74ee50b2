//! Writing the two messages that the relay ever sends, and the check that tests and load drive.

use hmac::Mac;

use super::{
    FINGERPRINT_XOR, HEADER_BYTES, INTEGRITY_BYTES, MAGIC_COOKIE, TransactionId, attr, integrity,
};
use crate::PathAddr;

/// The longest message this module writes: two ufrags of 256 and every attribute of a check.
pub const MAX_BINDING_BYTES: usize = 640;

/// RFC 8489 §18.2 with RFC 8489 §5's class bits.
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;

/// A connectivity check (RFC 8445 §7.2.2).
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// Names the exchange; must be unpredictable where the answer proves something.
    pub transaction_id: TransactionId,
    /// The ufrag of the agent that is asked.
    pub to_ufrag: &'a [u8],
    /// The ufrag of the agent that asks.
    pub from_ufrag: &'a [u8],
    /// The password of the agent that is asked.
    pub pwd: &'a [u8],
    /// The asking candidate's priority.
    pub priority: u32,
    /// `Some` in the controlling role, with the tie breaker.
    pub controlling: Option<u64>,
    /// Whether to nominate the path.
    pub use_candidate: bool,
}

impl BindingRequest<'_> {
    /// The length that [`BindingRequest::write`] will write.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        let username = self.to_ufrag.len() + 1 + self.from_ufrag.len();
        let nomination = if self.use_candidate { 4 } else { 0 };
        // Header, USERNAME, PRIORITY, role, nomination, MESSAGE-INTEGRITY, FINGERPRINT.
        HEADER_BYTES
            + 4
            + username.next_multiple_of(4)
            + 8
            + 12
            + nomination
            + 4
            + INTEGRITY_BYTES
            + 8
    }

    /// Appends the message to `out` and returns its length.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let mut writer = Writer::new(out, BINDING_REQUEST, self.transaction_id);
        writer.attribute(attr::USERNAME, &[self.to_ufrag, b":", self.from_ufrag]);
        writer.attribute(attr::PRIORITY, &[&self.priority.to_be_bytes()]);
        match self.controlling {
            Some(tie) => writer.attribute(attr::ICE_CONTROLLING, &[&tie.to_be_bytes()]),
            None => writer.attribute(attr::ICE_CONTROLLED, &[&[0; 8]]),
        }
        if self.use_candidate {
            writer.attribute(attr::USE_CANDIDATE, &[]);
        }
        writer.finish(self.pwd, true)
    }
}

/// Appends the answer to a check to `out` and returns its length.
///
/// FINGERPRINT follows the request's example, so that no answer outgrows its request by more than
/// XOR-MAPPED-ADDRESS.
pub fn write_binding_success(
    out: &mut Vec<u8>,
    transaction_id: TransactionId,
    mapped: PathAddr,
    pwd: &[u8],
    fingerprint: bool,
) -> usize {
    let mut writer = Writer::new(out, BINDING_SUCCESS, transaction_id);
    writer.xor_address(attr::XOR_MAPPED_ADDRESS, transaction_id, mapped);
    writer.finish(pwd, fingerprint)
}

/// Appends one message to a buffer.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, kind: u16, id: TransactionId) -> Self {
        let start = out.len();
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&MAGIC_COOKIE);
        out.extend_from_slice(&id.0);
        Self { out, start }
    }

    pub(crate) fn attribute(&mut self, kind: u16, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&(length as u16).to_be_bytes());
        for part in parts {
            self.out.extend_from_slice(part);
        }
        let padding = length.next_multiple_of(4) - length;
        self.out.extend_from_slice(&[0; 3][..padding]);
    }

    /// RFC 8489 §14.2: port and address, covered with the cookie and the transaction.
    pub(crate) fn xor_address(&mut self, kind: u16, id: TransactionId, addr: PathAddr) {
        let [c0, c1, ..] = MAGIC_COOKIE;
        let port = addr.port() ^ u16::from_be_bytes([c0, c1]);
        let cover = |ip: &mut [u8]| {
            for (byte, mask) in ip.iter_mut().zip(MAGIC_COOKIE.iter().chain(&id.0)) {
                *byte ^= mask;
            }
        };
        let (mut v4, mut v6) = (addr.v4_octets(), addr.octets());
        let (family, ip): (u8, &mut [u8]) = if addr.is_v4() {
            (1, &mut v4)
        } else {
            (2, &mut v6)
        };
        cover(ip);
        let parts: [&[u8]; 3] = [&[0, family], &port.to_be_bytes(), ip];
        self.attribute(kind, &parts);
    }

    /// Ends a message that nothing vouches for.
    pub(crate) fn finish_plain(mut self) {
        self.set_length(0);
    }

    pub(crate) fn finish(mut self, pwd: &[u8], fingerprint: bool) -> usize {
        let at = self.out.len() - self.start;
        let message = &self.out[self.start..];
        if let Some(mac) = integrity(message, at, pwd) {
            let tag: [u8; INTEGRITY_BYTES] = mac.finalize().into_bytes().into();
            self.attribute(attr::MESSAGE_INTEGRITY, &[&tag]);
        }
        if fingerprint {
            self.set_length(8);
            let crc = crc32fast::hash(&self.out[self.start..]) ^ FINGERPRINT_XOR;
            self.attribute(attr::FINGERPRINT, &[&crc.to_be_bytes()]);
        }
        self.set_length(0);
        self.out.len() - self.start
    }

    fn set_length(&mut self, ahead: usize) {
        let length = self.out.len() - self.start - HEADER_BYTES + ahead;
        let field = self.start + 2..self.start + 4;
        self.out[field].copy_from_slice(&(length as u16).to_be_bytes());
    }
}
