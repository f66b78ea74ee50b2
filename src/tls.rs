//! TLS by rustls with the ring provider.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::config::{Config, Tls};

/// What HTTP needs for TLS; `None` when it is off.
pub(crate) fn rustls_config(
    config: &Config,
    bound: SocketAddr,
) -> anyhow::Result<Option<RustlsConfig>> {
    let (chain, key) = match &config.tls {
        Tls::Off => return Ok(None),
        Tls::SelfSigned => self_signed(config, bound)?,
        Tls::Files { cert, key } => {
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read certificates from {}", cert.display()))?;
            let key = PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("cannot read a private key from {}", key.display()))?;
            (chain, key)
        }
    };
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the private key do not work together")?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(RustlsConfig::from_config(Arc::new(server))))
}

fn self_signed(
    config: &Config,
    bound: SocketAddr,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let mut names = BTreeSet::from(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.extend(config.relay_advertise.iter().map(ToString::to_string));
    if !bound.ip().is_unspecified() {
        names.insert(bound.ip().to_string());
    }
    if let Some(origin) = &config.public_origin {
        names.insert(origin.host().to_owned());
    }
    let made = rcgen::generate_simple_self_signed(names.into_iter().collect::<Vec<_>>())
        .context("cannot make a self-signed certificate")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("cannot use the self-signed key: {error}"))?;
    Ok((vec![made.cert.der().clone()], key))
}
