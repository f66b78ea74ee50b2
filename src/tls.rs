//! TLS by rustls with the ring provider.

mod certificates;
mod files;
mod pair;

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::sync::Notify;

use crate::{
    config::{Config, Tls},
    metrics::TlsMetrics,
};
use certificates::{Certificates, Source};
use files::Files;

#[cfg(test)]
pub(crate) use pair::tests;
pub(crate) use pair::{Pair, unix_now};

/// What the port needs for TLS, and what changes its certificate.
pub(crate) struct Port {
    /// For the acceptor.
    pub(crate) rustls: RustlsConfig,
    certificates: Certificates,
    files: Option<Files>,
}

impl Port {
    /// `None` when TLS is off.
    ///
    /// # Errors
    /// When there is no certificate that works.
    pub(crate) fn new(
        config: &Config,
        bound: SocketAddr,
        metrics: TlsMetrics,
    ) -> anyhow::Result<Option<Self>> {
        let (source, pair, files) = match &config.tls {
            Tls::Off => return Ok(None),
            Tls::SelfSigned => (Source::SelfSigned, self_signed(config, bound)?, None),
            Tls::Files { cert, key } => {
                let (files, pair) = Files::read(cert, key)?;
                (Source::Files, pair, Some(files))
            }
        };
        let certificates = Certificates::new(&pair, source, metrics);
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates.clone()));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self {
            rustls: RustlsConfig::from_config(Arc::new(server)),
            certificates,
            files,
        }))
    }

    /// Replaces the certificate whenever there is a new one, for ever.
    pub(crate) async fn renew(self, every: Duration, at_once: Arc<Notify>) {
        match self.files {
            Some(files) => files.follow(self.certificates, every, at_once).await,
            None => std::future::pending().await,
        }
    }
}

/// The pair that the files hold.
///
/// # Errors
/// When a file cannot be read, or the two do not work together.
pub(crate) fn read_files(cert: &Path, key: &Path) -> anyhow::Result<Pair> {
    Files::read(cert, key).map(|(_, pair)| pair)
}

fn self_signed(config: &Config, bound: SocketAddr) -> anyhow::Result<Pair> {
    let mut names = BTreeSet::from(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.extend(config.relay_advertise.iter().map(ToString::to_string));
    if !bound.ip().is_unspecified() {
        names.insert(bound.ip().to_string());
    }
    if let Some(origin) = &config.public_origin {
        let host = origin.host();
        names.insert(
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
        );
    }
    let made = rcgen::generate_simple_self_signed(names.into_iter().collect::<Vec<_>>())
        .context("cannot make a self-signed certificate")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("cannot use the self-signed key: {error}"))?;
    Pair::from_der(vec![made.cert.der().clone()], key)
}
