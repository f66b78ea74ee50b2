//! Reading a TURN message without copying any of it.

use smallvec::SmallVec;

use crate::{
    PathAddr,
    stun::{self, HEADER_BYTES, INTEGRITY_BYTES, MAGIC_COOKIE, StunClass, TransactionId, attr},
};

/// More peers in one CreatePermission than a leg has candidates are nobody's.
const MAX_PEERS: usize = 8;

/// A message is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MalformedTurnMessage;

/// A whole message, taken apart as far as this server reads it.
#[derive(Debug)]
pub(super) struct TurnMessage<'a> {
    bytes: &'a [u8],
    pub(super) method: u16,
    pub(super) class: StunClass,
    pub(super) id: TransactionId,
    pub(super) username: Option<&'a [u8]>,
    pub(super) realm: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) lifetime: Option<u32>,
    pub(super) transport: Option<u8>,
    pub(super) family: Option<u8>,
    pub(super) channel: Option<u16>,
    pub(super) peers: SmallVec<[PathAddr; 1]>,
    pub(super) data: Option<&'a [u8]>,
    /// Comprehension-required attributes that are unknown here.
    pub(super) unknown: SmallVec<[u16; 4]>,
    integrity_at: Option<usize>,
    fingerprint_at: Option<usize>,
}

impl<'a> TurnMessage<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, MalformedTurnMessage> {
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(MalformedTurnMessage)?;
        let [t0, t1, l0, l1, ..] = *header;
        let kind = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if kind & 0xc000 != 0
            || header[4..8] != MAGIC_COOKIE
            || length % 4 != 0
            || bytes.len() != HEADER_BYTES + length
        {
            return Err(MalformedTurnMessage);
        }
        let id = header.last_chunk().copied().unwrap_or_default();
        let mut message = Self {
            bytes,
            method: (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2),
            class: match kind & 0x0110 {
                0x0000 => StunClass::Request,
                0x0010 => StunClass::Indication,
                0x0100 => StunClass::Success,
                _ => StunClass::Error,
            },
            id: TransactionId(id),
            username: None,
            realm: None,
            nonce: None,
            lifetime: None,
            transport: None,
            family: None,
            channel: None,
            peers: SmallVec::new(),
            data: None,
            unknown: SmallVec::new(),
            integrity_at: None,
            fingerprint_at: None,
        };
        message.read_attributes()?;
        if stun::fingerprint_holds(message.bytes, message.fingerprint_at) {
            Ok(message)
        } else {
            Err(MalformedTurnMessage)
        }
    }

    pub(super) fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY came and was made with `key`, compared in constant time.
    pub(super) fn integrity_holds(&self, key: &[u8]) -> bool {
        stun::integrity_holds(self.bytes, self.integrity_at, key)
    }

    fn read_attributes(&mut self) -> Result<(), MalformedTurnMessage> {
        let mut at = HEADER_BYTES;
        while at < self.bytes.len() {
            // FINGERPRINT is the last attribute (RFC 8489 §14.7).
            if self.fingerprint_at.is_some() {
                return Err(MalformedTurnMessage);
            }
            let (kind, value, next) =
                stun::attribute(self.bytes, at).ok_or(MalformedTurnMessage)?;
            self.read_attribute(at, kind, value)?;
            at = next;
        }
        Ok(())
    }

    fn read_attribute(
        &mut self,
        at: usize,
        kind: u16,
        value: &'a [u8],
    ) -> Result<(), MalformedTurnMessage> {
        // After MESSAGE-INTEGRITY only FINGERPRINT counts: nothing else there is authenticated.
        if self.integrity_at.is_some() && kind != attr::FINGERPRINT {
            return Ok(());
        }
        // RFC 8489 §14: only the first of a kind counts.
        match (kind, value) {
            (attr::USERNAME, _) => _ = self.username.get_or_insert(value),
            (attr::REALM, _) => _ = self.realm.get_or_insert(value),
            (attr::NONCE, _) => _ = self.nonce.get_or_insert(value),
            (attr::DATA, _) => _ = self.data.get_or_insert(value),
            (attr::LIFETIME, &[a, b, c, d]) => {
                self.lifetime
                    .get_or_insert(u32::from_be_bytes([a, b, c, d]));
            }
            (attr::REQUESTED_TRANSPORT, &[protocol, ..]) if value.len() == 4 => {
                self.transport.get_or_insert(protocol);
            }
            (attr::REQUESTED_ADDRESS_FAMILY, &[family, ..]) if value.len() == 4 => {
                self.family.get_or_insert(family);
            }
            (attr::CHANNEL_NUMBER, &[a, b, ..]) if value.len() == 4 => {
                self.channel.get_or_insert(u16::from_be_bytes([a, b]));
            }
            (attr::XOR_PEER_ADDRESS, _) => {
                let peer = xor_address(self.id, value).ok_or(MalformedTurnMessage)?;
                if self.peers.len() == MAX_PEERS {
                    return Err(MalformedTurnMessage);
                }
                self.peers.push(peer);
            }
            (attr::MESSAGE_INTEGRITY, _) if value.len() == INTEGRITY_BYTES => {
                self.integrity_at = Some(at);
            }
            (attr::FINGERPRINT, _) if value.len() == 4 => self.fingerprint_at = Some(at),
            (
                attr::LIFETIME
                | attr::REQUESTED_TRANSPORT
                | attr::REQUESTED_ADDRESS_FAMILY
                | attr::CHANNEL_NUMBER
                | attr::MESSAGE_INTEGRITY
                | attr::FINGERPRINT,
                _,
            ) => return Err(MalformedTurnMessage),
            (..0x8000, _) if self.unknown.len() < self.unknown.inline_size() => {
                self.unknown.push(kind);
            }
            _ => {}
        }
        Ok(())
    }
}

/// RFC 8489 §14.2.
fn xor_address(id: TransactionId, value: &[u8]) -> Option<PathAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0 ^ MAGIC_COOKIE[0], p1 ^ MAGIC_COOKIE[1]]);
    let mut cover = MAGIC_COOKIE.into_iter().chain(id.0);
    match family {
        1 => {
            let mut v4 = <[u8; 4]>::try_from(ip).ok()?;
            v4.iter_mut()
                .zip(&mut cover)
                .for_each(|(b, mask)| *b ^= mask);
            Some(PathAddr::from_v4(v4, port))
        }
        2 => {
            let mut v6 = <[u8; 16]>::try_from(ip).ok()?;
            v6.iter_mut()
                .zip(&mut cover)
                .for_each(|(b, mask)| *b ^= mask);
            Some(PathAddr::from_octets(v6, port))
        }
        _ => None,
    }
}
