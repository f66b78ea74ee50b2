//! Writing what the server says.

use super::{auth::REALM, error_code::ErrorCode, message::TurnMessage, method};
use crate::{
    PathAddr,
    stun::{TransactionId, Writer, attr},
};

/// RFC 8489 §5's class bits.
const INDICATION: u16 = 0x0010;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

/// What the answer to a successful request says.
#[derive(Debug)]
pub(super) enum SuccessResponse {
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

/// An error that asks for credentials; it carries no MESSAGE-INTEGRITY.
pub(super) fn challenge(
    out: &mut Vec<u8>,
    request: &TurnMessage<'_>,
    error_code: ErrorCode,
    nonce: &[u8; 32],
) {
    let mut writer = Writer::new(out, kind(request.method, ERROR), request.id);
    error_code.write(&mut writer);
    writer.attribute(attr::REALM, &[REALM.as_bytes()]);
    writer.attribute(attr::NONCE, &[nonce]);
    writer.finish_plain();
}

/// An error for an authenticated client.
pub(super) fn error(
    out: &mut Vec<u8>,
    request: &TurnMessage<'_>,
    error_code: ErrorCode,
    key: &[u8; 16],
) {
    let mut writer = Writer::new(out, kind(request.method, ERROR), request.id);
    error_code.write(&mut writer);
    if error_code == ErrorCode::UNKNOWN_ATTRIBUTE {
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
pub(super) fn success(
    out: &mut Vec<u8>,
    request: &TurnMessage<'_>,
    answer: &SuccessResponse,
    key: &[u8; 16],
) {
    let mut writer = Writer::new(out, kind(request.method, SUCCESS), request.id);
    match answer {
        SuccessResponse::Allocated {
            relayed,
            mapped,
            lifetime,
        } => {
            writer.xor_address(attr::XOR_RELAYED_ADDRESS, request.id, *relayed);
            writer.xor_address(attr::XOR_MAPPED_ADDRESS, request.id, *mapped);
            writer.attribute(attr::LIFETIME, &[&lifetime.to_be_bytes()]);
        }
        SuccessResponse::Refreshed { lifetime } => {
            writer.attribute(attr::LIFETIME, &[&lifetime.to_be_bytes()]);
        }
        SuccessResponse::Plain => {}
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
