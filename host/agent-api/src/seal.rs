//! The storage state leaves the host sealed to the agent's key (RFC 9180, mode_base).

use authloop_agent_api_types::SealedState;
use authloop_protocol::id::to_b64u;
use hpke::{
    Deserializable as _, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
};
use secrecy::{ExposeSecret as _, SecretString};

/// What `info` begins with; the session's name follows.
pub const INFO_PREFIX: &str = "authloop storage-state v1 ";

/// The agent's public key.
#[derive(Clone)]
pub(super) struct Recipient(<DhP256HkdfSha256 as hpke::Kem>::PublicKey);

/// Why bytes are no key, or nothing can be sealed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an uncompressed P-256 point of 65 bytes")]
pub(super) struct NotAKey;

impl Recipient {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotAKey> {
        // The library checks that the point is on the curve.
        <DhP256HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| NotAKey)
    }

    pub(super) fn seal(&self, session: &str, state: &SecretString) -> Result<SealedState, NotAKey> {
        let info = format!("{INFO_PREFIX}{session}");
        let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeS::Base,
            &self.0,
            info.as_bytes(),
            state.expose_secret().as_bytes(),
            b"",
        )
        .map_err(|_| NotAKey)?;
        Ok(SealedState {
            enc: to_b64u(&enc.to_bytes()),
            ciphertext: to_b64u(&ciphertext),
            info,
        })
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipient")
    }
}

#[cfg(test)]
mod tests {
    use hpke::{Kem as _, OpModeR};

    use super::*;

    #[test]
    fn only_the_recipient_opens_it_and_only_for_its_session() {
        let (private, public) = DhP256HkdfSha256::gen_keypair();
        let recipient = Recipient::parse(&public.to_bytes()).unwrap();

        let sealed = recipient.seal("hs_1", &"state".into()).unwrap();

        let decode = |text: &str| authloop_protocol::id::from_b64u(text).unwrap();
        let enc = <DhP256HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&decode(&sealed.enc));
        let enc = enc.unwrap();
        let open = |info: &str| {
            hpke::single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
                &OpModeR::Base,
                &private,
                &enc,
                info.as_bytes(),
                &decode(&sealed.ciphertext),
                b"",
            )
        };
        assert_eq!(open("authloop storage-state v1 hs_1").unwrap(), b"state");
        assert!(open("authloop storage-state v1 hs_2").is_err());
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        assert!(Recipient::parse(&[4; 65]).is_err());
        assert!(Recipient::parse(&[0; 64]).is_err());
    }
}
