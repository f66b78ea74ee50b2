//! Reading a message without copying any of it.

use super::{
    HEADER_BYTES, INTEGRITY_BYTES, MAGIC_COOKIE, METHOD_BINDING, TransactionId, attr, attribute,
    fingerprint_holds, integrity_holds,
};

/// RFC 8489 §5: the two class bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StunClass {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// Answers a request kindly.
    Success,
    /// Answers a request unkindly.
    Error,
}

/// Why a datagram is not a message that the relay acts upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StunParseError {
    /// Header, cookie or lengths do not add up.
    #[error("malformed STUN message")]
    Malformed,
    /// Well formed, but not Binding.
    #[error("STUN method is not Binding")]
    Method,
    /// RFC 8489 §6.3.1: a comprehension-required attribute that is unknown here.
    #[error("unknown comprehension-required STUN attribute")]
    UnknownAttribute,
}

/// A Binding message, borrowed from its datagram.
#[derive(Debug, Clone, Copy)]
pub struct BindingMessage<'a> {
    bytes: &'a [u8],
    class: StunClass,
    username: Option<&'a [u8]>,
    use_candidate: bool,
    integrity_at: Option<usize>,
    fingerprint_at: Option<usize>,
}

impl<'a> BindingMessage<'a> {
    /// Parses a whole datagram.
    ///
    /// # Errors
    /// When it is no well-formed Binding message that can be understood.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunParseError> {
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(StunParseError::Malformed)?;
        let [t0, t1, l0, l1, ..] = *header;
        let kind = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if kind & 0xc000 != 0
            || header[4..8] != MAGIC_COOKIE
            || length % 4 != 0
            || bytes.len() != HEADER_BYTES + length
        {
            return Err(StunParseError::Malformed);
        }
        // RFC 8489 §5: class bits C1 and C0 sit at 0x100 and 0x010, the method around them.
        let method = (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2);
        if method != METHOD_BINDING {
            return Err(StunParseError::Method);
        }
        let class = match kind & 0x0110 {
            0x0000 => StunClass::Request,
            0x0010 => StunClass::Indication,
            0x0100 => StunClass::Success,
            _ => StunClass::Error,
        };
        let mut message = Self {
            bytes,
            class,
            username: None,
            use_candidate: false,
            integrity_at: None,
            fingerprint_at: None,
        };
        message.read_attributes()?;
        Ok(message)
    }

    /// Request, indication, success or error.
    #[must_use]
    pub fn class(&self) -> StunClass {
        self.class
    }

    /// Which exchange the message belongs to.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        let id = self
            .bytes
            .get(8..HEADER_BYTES)
            .and_then(|id| id.try_into().ok());
        TransactionId(id.unwrap_or_default())
    }

    /// USERNAME as it came: `receiver:sender` in a check.
    #[must_use]
    pub fn username(&self) -> Option<&'a [u8]> {
        self.username
    }

    /// Whether the sender nominates this path (RFC 8445 §7.1.2).
    #[must_use]
    pub fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    /// Whether a FINGERPRINT came, so that the answer carries one too.
    #[must_use]
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint_at.is_some()
    }

    /// Whether FINGERPRINT is right, or absent.
    #[must_use]
    pub fn fingerprint_holds(&self) -> bool {
        fingerprint_holds(self.bytes, self.fingerprint_at)
    }

    /// Whether MESSAGE-INTEGRITY came and was made with `key`, compared in constant time.
    #[must_use]
    pub fn integrity_holds(&self, key: &[u8]) -> bool {
        integrity_holds(self.bytes, self.integrity_at, key)
    }

    fn read_attributes(&mut self) -> Result<(), StunParseError> {
        let mut at = HEADER_BYTES;
        while at < self.bytes.len() {
            // FINGERPRINT is the last attribute (RFC 8489 §14.7).
            if self.fingerprint_at.is_some() {
                return Err(StunParseError::Malformed);
            }
            let (kind, value, next) = attribute(self.bytes, at).ok_or(StunParseError::Malformed)?;
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
    ) -> Result<(), StunParseError> {
        // After MESSAGE-INTEGRITY only FINGERPRINT counts: nothing else there is authenticated.
        if self.integrity_at.is_some() && kind != attr::FINGERPRINT {
            return Ok(());
        }
        match (kind, value.len()) {
            (attr::USERNAME, _) => {
                // RFC 8489 §14: only the first of a kind counts.
                self.username.get_or_insert(value);
            }
            (attr::USE_CANDIDATE, 0) => self.use_candidate = true,
            (attr::MESSAGE_INTEGRITY, INTEGRITY_BYTES) => self.integrity_at = Some(at),
            (attr::FINGERPRINT, 4) => self.fingerprint_at = Some(at),
            (attr::PRIORITY, 4) | (attr::XOR_MAPPED_ADDRESS, 8 | 20) => {}
            (attr::ICE_CONTROLLED | attr::ICE_CONTROLLING, 8) => {}
            (
                attr::USE_CANDIDATE
                | attr::MESSAGE_INTEGRITY
                | attr::FINGERPRINT
                | attr::PRIORITY
                | attr::XOR_MAPPED_ADDRESS
                | attr::ICE_CONTROLLED
                | attr::ICE_CONTROLLING,
                _,
            ) => return Err(StunParseError::Malformed),
            // Answers may carry MAPPED-ADDRESS, ERROR-CODE and friends: none of them is read.
            (..0x8000, _) if self.class == StunClass::Request => {
                return Err(StunParseError::UnknownAttribute);
            }
            _ => {}
        }
        Ok(())
    }
}
