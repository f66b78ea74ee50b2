//! The viewer's HPKE hello, and the keys that both sides export from it (RFC 9180 mode_psk).

use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, PskBundle, Serializable as _, aead::AesGcm256,
    kdf::HkdfSha256, kem::DhP256HkdfSha256,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    blob::{ENC_BYTES, HELLO_KIND},
    error::SealError,
    record::{RecordOpener, RecordSealer},
};
use crate::{
    device::{DeviceKey, hello_message},
    id::{Blob, SessionId},
    invitation::Fingerprint,
    link::{InvitationHash, LinkKeys},
};

type Kem = DhP256HkdfSha256;

/// The host's HPKE key pair of one session.
#[derive(Clone)]
pub struct HostKeyPair {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: [u8; 65],
}

impl HostKeyPair {
    /// Makes a fresh pair.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_pair(Kem::gen_keypair_with_rng(rng))
    }

    /// Derives the pair of a seed, for test vectors (RFC 9180 section 7.1.3).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_pair(Kem::derive_keypair(seed))
    }

    fn from_pair(
        (private, public): (
            <Kem as hpke::Kem>::PrivateKey,
            <Kem as hpke::Kem>::PublicKey,
        ),
    ) -> Self {
        let mut bytes = [0; 65];
        bytes.copy_from_slice(&public.to_bytes());
        Self {
            private,
            public: bytes,
        }
    }

    /// The public key, uncompressed SEC1, 65 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8; 65] {
        &self.public
    }

    /// The private key's scalar, for test vectors only.
    #[must_use]
    pub fn private_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.private.to_bytes().to_vec())
    }
}

impl std::fmt::Debug for HostKeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostKeyPair(redacted)")
    }
}

/// What both sides know of a session before the hello.
#[derive(Clone)]
pub struct SealContext {
    /// The session.
    pub id: SessionId,
    /// SHA-256 of the invitation's bytes.
    pub invitation: InvitationHash,
    /// The pre-shared key K.
    pub psk: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for SealContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealContext").finish_non_exhaustive()
    }
}

impl SealContext {
    /// Of a session's link keys.
    #[must_use]
    pub fn new(id: SessionId, invitation: InvitationHash, keys: &LinkKeys) -> Self {
        Self {
            id,
            invitation,
            psk: keys.psk.clone(),
        }
    }

    fn info(&self) -> Vec<u8> {
        [b"authloop/1 hpke".as_slice(), &self.invitation.0].concat()
    }

    fn psk_id(&self) -> Vec<u8> {
        [b"authloop/1 psk".as_slice(), &self.id.0].concat()
    }
}

/// The viewer's first sealed message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The viewer's DTLS certificate.
    pub fingerprint: Fingerprint,
    /// The device key D, 65 bytes.
    pub device: Blob,
    /// 32 random bytes.
    pub nonce: Blob,
    /// Names the viewer's input sequence, 16 random bytes for each page life.
    pub stream: Blob,
    /// D's signature over [`hello_message`], 64 bytes.
    pub signature: Blob,
}

/// The four keys that grow from one hello, and the hello's name.
pub struct HelloKeys {
    /// First 8 bytes of SHA-256 of the hello blob: which hello a record belongs to.
    pub hello: [u8; 8],
    /// SHA-256 of the hello blob, for the transcript.
    pub hello_hash: [u8; 32],
    signal_h2v: Zeroizing<[u8; 32]>,
    signal_v2h: Zeroizing<[u8; 32]>,
    /// Seals data-channel records, host to viewer.
    pub data_h2v: Zeroizing<[u8; 32]>,
    /// Seals input frames, viewer to host.
    pub data_v2h: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for HelloKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HelloKeys").finish_non_exhaustive()
    }
}

impl HelloKeys {
    fn export(
        blob: &[u8],
        export: impl Fn(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
    ) -> Result<Self, SealError> {
        let key = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            export(label, &mut *key).map_err(|_| SealError::Refused)?;
            Ok(key)
        };
        let hello_hash: [u8; 32] = Sha256::digest(blob).into();
        let mut hello = [0; 8];
        hello.copy_from_slice(&hello_hash[..8]);
        Ok(Self {
            hello,
            hello_hash,
            signal_h2v: key(b"authloop/1 signal h2v")?,
            signal_v2h: key(b"authloop/1 signal v2h")?,
            data_h2v: key(b"authloop/1 data h2v")?,
            data_v2h: key(b"authloop/1 data v2h")?,
        })
    }

    /// The host's two record ends: to seal and to open.
    #[must_use]
    pub fn host_records(&self) -> (RecordSealer, RecordOpener) {
        (
            RecordSealer::new(&self.signal_h2v, self.hello),
            RecordOpener::new(&self.signal_v2h, self.hello),
        )
    }

    /// The viewer's two record ends: to seal and to open.
    #[must_use]
    pub fn viewer_records(&self) -> (RecordSealer, RecordOpener) {
        (
            RecordSealer::new(&self.signal_v2h, self.hello),
            RecordOpener::new(&self.signal_h2v, self.hello),
        )
    }
}

/// Opens a viewer's hello at the host and checks the device's signature in it.
///
/// # Errors
/// [`SealError::Refused`] for anything but a hello sealed with this session's K and signed by the
/// device it names.
pub fn open_hello(
    context: &SealContext,
    host: &HostKeyPair,
    blob: &[u8],
) -> Result<(Hello, HelloKeys), SealError> {
    let body = match blob.split_first() {
        Some((&HELLO_KIND, body)) if body.len() > ENC_BYTES => body,
        _ => return Err(SealError::Refused),
    };
    let (enc, ciphertext) = body.split_at(ENC_BYTES);
    let encapped =
        <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| SealError::Refused)?;
    let psk_id = context.psk_id();
    let psk = PskBundle::new(&*context.psk, &psk_id).map_err(|_| SealError::Refused)?;
    let mut receiver = hpke::setup_receiver::<AesGcm256, HkdfSha256, Kem>(
        &OpModeR::Psk(psk),
        &host.private,
        &encapped,
        &context.info(),
    )
    .map_err(|_| SealError::Refused)?;
    let plain = Zeroizing::new(
        receiver
            .open(ciphertext, &context.id.0)
            .map_err(|_| SealError::Refused)?,
    );
    let hello: Hello = serde_json::from_slice(&plain).map_err(|_| SealError::Refused)?;
    let device = DeviceKey::parse(&hello.device.0).ok_or(SealError::Refused)?;
    let nonce = hello.nonce.array::<32>().ok_or(SealError::Refused)?;
    hello.stream.array::<16>().ok_or(SealError::Refused)?;
    let message = hello_message(context.id, enc, &nonce, &hello.fingerprint.to_string());
    if !device.verify(&message, &hello.signature.0) {
        return Err(SealError::Refused);
    }
    let keys = HelloKeys::export(blob, |label, out| receiver.export(label, out))?;
    Ok((hello, keys))
}

/// Seals a hello as the viewer does; `sign` makes D's signature over the message it is given.
///
/// # Errors
/// [`SealError::Refused`] when the host's public key is not a point on the curve.
pub fn seal_hello(
    context: &SealContext,
    host_public: &[u8],
    rng: &mut impl CryptoRng,
    hello: impl FnOnce(&dyn Fn(&[u8; 32], &Fingerprint) -> Vec<u8>) -> Hello,
) -> Result<(Vec<u8>, HelloKeys), SealError> {
    let public =
        <Kem as hpke::Kem>::PublicKey::from_bytes(host_public).map_err(|_| SealError::Refused)?;
    let psk_id = context.psk_id();
    let psk = PskBundle::new(&*context.psk, &psk_id).map_err(|_| SealError::Refused)?;
    let (encapped, mut sender) = hpke::setup_sender_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Psk(psk),
        &public,
        &context.info(),
        rng,
    )
    .map_err(|_| SealError::Refused)?;
    let enc = encapped.to_bytes();
    let hello = hello(&|nonce, fingerprint| {
        hello_message(context.id, &enc, nonce, &fingerprint.to_string())
    });
    let plain = Zeroizing::new(serde_json::to_vec(&hello).map_err(|_| SealError::Refused)?);
    let ciphertext = sender
        .seal(&plain, &context.id.0)
        .map_err(|_| SealError::Refused)?;
    let blob = [&[HELLO_KIND], enc.as_slice(), &ciphertext].concat();
    let keys = HelloKeys::export(&blob, |label, out| sender.export(label, out))?;
    Ok((blob, keys))
}
