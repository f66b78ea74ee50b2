//! The errors that the server answers with.

use crate::stun::{Writer, attr};

/// An error code and its reason (RFC 8489 §14.8, RFC 8656 §19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ErrorCode(u16, &'static str);

impl ErrorCode {
    pub(super) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(super) const UNAUTHENTICATED: Self = Self(401, "Unauthenticated");
    pub(super) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(super) const UNKNOWN_ATTRIBUTE: Self = Self(420, "Unknown Attribute");
    pub(super) const ALLOCATION_MISMATCH: Self = Self(437, "Allocation Mismatch");
    pub(super) const STALE_NONCE: Self = Self(438, "Stale Nonce");
    pub(super) const UNSUPPORTED_FAMILY: Self = Self(440, "Address Family not Supported");
    pub(super) const WRONG_CREDENTIALS: Self = Self(441, "Wrong Credentials");
    pub(super) const UNSUPPORTED_TRANSPORT: Self = Self(442, "Unsupported Transport Protocol");

    pub(super) fn write(self, writer: &mut Writer<'_>) {
        let code = [0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8];
        writer.attribute(attr::ERROR_CODE, &[&code, self.1.as_bytes()]);
    }
}
