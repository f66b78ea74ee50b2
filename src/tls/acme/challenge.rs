//! The certificate that answers a tls-alpn-01 challenge (RFC 8737).

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring, pki_types::PrivateKeyDer, sign::CertifiedKey};

/// RFC 8737 §3: self-signed, for this one name, with the key authorization's SHA-256 (32 bytes).
pub(super) fn certificate(domain: &str, digest: &[u8]) -> anyhow::Result<Arc<CertifiedKey>> {
    anyhow::ensure!(digest.len() == 32, "the digest is none of SHA-256");
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot use the challenge's key")?;
    let key = ring::sign::any_supported_type(&key)?;
    // Without the check that the two belong together: it stumbles over the critical extension.
    Ok(Arc::new(CertifiedKey::new(vec![made.der().clone()], key)))
}

#[cfg(test)]
mod tests {
    use x509_parser::{extensions::GeneralName, parse_x509_certificate};

    use super::*;

    /// id-pe-acmeIdentifier (RFC 8737 §6.1).
    const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

    #[test]
    fn it_names_the_domain_and_holds_the_digest_critically() {
        let certified = certificate("relay.example", &[7; 32]).unwrap();

        let leaf = certified.end_entity_cert().unwrap();
        let (_, parsed) = parse_x509_certificate(leaf).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            names.value.general_names,
            [GeneralName::DNSName("relay.example")]
        );
        let key = certified.key.public_key().unwrap();
        assert_eq!(key.as_ref(), parsed.public_key().raw, "it is another key's");
        let found = parsed.extensions().iter();
        let mut found = found.filter(|found| found.oid.to_id_string() == ACME_IDENTIFIER);
        let extension = found.next().unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[4, 32][..], &[7; 32]].concat());
    }
}
