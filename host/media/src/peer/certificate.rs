//! The host's certificate of one session.

use authloop_protocol::invitation::Fingerprint;
use rtc::crypto::SignatureScheme;
use webrtc::peer_connection::RTCCertificate;

use super::error::PeerError;

/// The host's DTLS certificate of one session, ECDSA P-256.
#[derive(Clone)]
pub struct DtlsCertificate {
    certificate: RTCCertificate,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for DtlsCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsCertificate").finish_non_exhaustive()
    }
}

impl DtlsCertificate {
    /// Makes a new certificate.
    ///
    /// # Errors
    /// [`PeerError::Certificate`].
    pub fn generate() -> Result<Self, PeerError> {
        let fail = |error: String| PeerError::Certificate(error);
        let provider = rtc::crypto::default_provider().map_err(|e| fail(e.to_string()))?;
        let crypto = provider.crypto();
        let params = rcgen::CertificateParams::new(vec!["authloop".to_owned()])
            .map_err(|e| fail(e.to_string()))?;
        let certificate =
            RTCCertificate::generate(crypto, SignatureScheme::EcdsaP256Sha256, params)?;
        let der = certificate
            .dtls_certificate
            .certificate
            .first()
            .ok_or_else(|| fail("empty chain".to_owned()))?;
        let fingerprint = Fingerprint::of_certificate(der.as_ref());
        Ok(Self {
            certificate,
            fingerprint,
        })
    }

    /// The certificate as the library takes it.
    pub(super) fn as_rtc(&self) -> &RTCCertificate {
        &self.certificate
    }

    /// The fingerprint by which SDP and the invitation name it.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}
