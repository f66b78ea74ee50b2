//! Which certificates a client trusts: the machine's, and those that it was given besides.

use std::sync::Arc;

use rustls::pki_types::{self, CertificateDer, pem::PemObject as _};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum TlsError {
    /// The certificates to trust are not PEM.
    Pem(#[from] pki_types::pem::Error),
    /// A certificate to trust is damaged, or the provider does not know the protocol.
    Rustls(#[from] rustls::Error),
}

/// A client's configuration that trusts the machine's certificates, and those of `ca_pem`.
///
/// # Errors
/// [`TlsError`].
pub fn tls_config(ca_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    // A machine without a certificate store can still speak http, and https with a given CA.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
