//! The long-term credentials of a leg's owner (RFC 8489 §9.2).

use md5::{Digest, Md5};

use super::{error_code::ErrorCode, message::TurnMessage};
use crate::{LocalPwd, LocalUfrag, PathAddr};

/// The realm that goes into the key of MESSAGE-INTEGRITY; it names nothing.
pub const REALM: &str = "authloop";

/// The access that a leg's owner gets.
#[derive(Debug)]
pub struct TurnGrant {
    /// The leg's ufrag.
    pub ufrag: LocalUfrag,
    /// The leg's password; only a key made from it is kept.
    pub pwd: LocalPwd,
    /// The leg's relay candidates: all that may ever be a peer.
    pub candidates: Vec<PathAddr>,
}

/// The leg's owner, once access is granted.
#[derive(Debug)]
pub(super) struct LegUser {
    ufrag: LocalUfrag,
    key: [u8; 16],
    pub(super) candidates: Vec<PathAddr>,
}

/// Why a request is not authenticated.
pub(super) enum AuthenticationFailure {
    Refused(ErrorCode),
    /// No leg has been granted yet: this one has to be looked up.
    UnknownUfrag(LocalUfrag),
    /// The user name cannot be a leg's.
    InvalidUfrag,
}

impl LegUser {
    pub(super) fn new(grant: TurnGrant) -> Self {
        let mut key = Md5::new();
        // RFC 8489 §9.2.2: the long-term key.
        key.update(grant.ufrag.as_bytes());
        key.update(b":");
        key.update(REALM.as_bytes());
        key.update(b":");
        key.update(grant.pwd.as_bytes());
        Self {
            ufrag: grant.ufrag,
            key: key.finalize().into(),
            candidates: grant.candidates,
        }
    }
}

/// Returns the key of an authentic request; the checks are in RFC 8489 §9.2.4's order.
pub(super) fn authenticate(
    user: Option<&LegUser>,
    nonce: &[u8; 32],
    message: &TurnMessage<'_>,
) -> Result<[u8; 16], AuthenticationFailure> {
    if !message.has_integrity() {
        return Err(AuthenticationFailure::Refused(ErrorCode::UNAUTHENTICATED));
    }
    let (Some(username), Some(realm), Some(sent_nonce)) =
        (message.username, message.realm, message.nonce)
    else {
        return Err(AuthenticationFailure::Refused(ErrorCode::BAD_REQUEST));
    };
    if sent_nonce != nonce {
        return Err(AuthenticationFailure::Refused(ErrorCode::STALE_NONCE));
    }
    let ufrag = LocalUfrag::from_bytes(username).ok_or(AuthenticationFailure::InvalidUfrag)?;
    let user = user.ok_or(AuthenticationFailure::UnknownUfrag(ufrag))?;
    if user.ufrag != ufrag || realm != REALM.as_bytes() {
        return Err(AuthenticationFailure::Refused(ErrorCode::WRONG_CREDENTIALS));
    }
    if message.integrity_holds(&user.key) {
        Ok(user.key)
    } else {
        Err(AuthenticationFailure::Refused(ErrorCode::UNAUTHENTICATED))
    }
}
