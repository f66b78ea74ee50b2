//! Writing what the server says.

use super::message::Message;
use super::{REALM, method};
use crate::PathAddr;
use crate::stun::{TransactionId, Writer, attr};

/// RFC 8489 §5's class bits.
const INDICATION: u16 = 0x0010;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

/// An error code and its reason (RFC 8489 §14.8, RFC 8656 §19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(u16, &'static str);

impl Refusal {
    pub(super) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(super) const UNAUTHENTICATED: Self = Self(401, "Unauthenticated");
    pub(super) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(super) const UNKNOWN_ATTRIBUTE: Self = Self(420, "Unknown Attribute");
    pub(super) const ALLOCATION_MISMATCH: Self = Self(437, "Allocation Mismatch");
    pub(super) const STALE_NONCE: Self = Self(438, "Stale Nonce");
    pub(super) const UNSUPPORTED_FAMILY: Self = Self(440, "Address Family not Supported");
    pub(super) const WRONG_CREDENTIALS: Self = Self(441, "Wrong Credentials");
    pub(super) const UNSUPPORTED_TRANSPORT: Self = Self(442, "Unsupported Transport Protocol");

    fn write(self, writer: &mut Writer<'_>) {
        let code = [0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8];
        writer.attribute(attr::ERROR_CODE, &[&code, self.1.as_bytes()]);
    }
}

/// What a request that worked is told.
#[derive(Debug)]
pub(super) enum Answer {
    Allocated {
        relayed: PathAddr,
        mapped: PathAddr,
        lifetime: u32,
    },
    Refreshed {
        lifetime: u32,
    },
    Plain,
}

/// A refusal that asks for credentials; nothing vouches for it.
pub(super) fn challenge(
    out: &mut Vec<u8>,
    request: &Message<'_>,
    refusal: Refusal,
    nonce: &[u8; 32],
) {
    let mut writer = Writer::new(out, kind(request.method, ERROR), request.id);
    refusal.write(&mut writer);
    writer.attribute(attr::REALM, &[REALM.as_bytes()]);
    writer.attribute(attr::NONCE, &[nonce]);
    writer.finish_plain();
}

/// A refusal to someone known.
pub(super) fn error(out: &mut Vec<u8>, request: &Message<'_>, refusal: Refusal, key: &[u8; 16]) {
    let mut writer = Writer::new(out, kind(request.method, ERROR), request.id);
    refusal.write(&mut writer);
    if refusal == Refusal::UNKNOWN_ATTRIBUTE {
        let unknown: Vec<[u8; 2]> = request
            .unknown
            .iter()
            .map(|kind| kind.to_be_bytes())
            .collect();
        writer.attribute(attr::UNKNOWN_ATTRIBUTES, &[unknown.as_flattened()]);
    }
    writer.finish(key, false);
}

/// The answer to a request that worked.
pub(super) fn success(out: &mut Vec<u8>, request: &Message<'_>, answer: &Answer, key: &[u8; 16]) {
    let mut writer = Writer::new(out, kind(request.method, SUCCESS), request.id);
    match answer {
        Answer::Allocated {
            relayed,
            mapped,
            lifetime,
        } => {
            writer.xor_address(attr::XOR_RELAYED_ADDRESS, request.id, *relayed);
            writer.xor_address(attr::XOR_MAPPED_ADDRESS, request.id, *mapped);
            writer.attribute(attr::LIFETIME, &[&lifetime.to_be_bytes()]);
        }
        Answer::Refreshed { lifetime } => {
            writer.attribute(attr::LIFETIME, &[&lifetime.to_be_bytes()]);
        }
        Answer::Plain => {}
    }
    writer.finish(key, false);
}

/// RFC 8656 §11.3: a Data indication. Nobody answers one, so its name need not be a secret.
pub(super) fn data(out: &mut Vec<u8>, count: u64, peer: PathAddr, datagram: &[u8]) {
    let mut id = TransactionId([0; 12]);
    id.0[4..].copy_from_slice(&count.to_be_bytes());
    let mut writer = Writer::new(out, kind(method::DATA, INDICATION), id);
    writer.xor_address(attr::XOR_PEER_ADDRESS, id, peer);
    writer.attribute(attr::DATA, &[datagram]);
    writer.finish_plain();
}

/// RFC 8489 §5: the class bits sit amid the method's.
fn kind(method: u16, class: u16) -> u16 {
    (method & 0x000f) | ((method & 0x0070) << 1) | ((method & 0x0f80) << 2) | class
}
