//! TLS by rustls with the ring provider.

mod acme;
mod certificate_and_key;
mod challenge_closer;
mod files;
mod resolver;

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::sync::Notify;

use crate::{
    config::{AcmeSettings, Config, StreamSettings, TlsMode},
    metrics::TlsMetrics,
};
use acme::AcmeRenewer;
use challenge_closer::ACME_TLS;
use files::CertificateFiles;
use resolver::{CertificateResolver, CertificateSource};

#[cfg(test)]
pub(crate) use certificate_and_key::tests;
pub(crate) use certificate_and_key::{CertificateAndKey, unix_now};
pub(crate) use challenge_closer::ChallengeCloser;

/// What a TURN client may say that it wants (RFC 7443 section 3).
const STUN_TURN: &[u8] = b"stun.turn";

/// What the HTTP port needs for TLS, and what renews its certificate.
pub(crate) struct TlsSetup {
    /// For the acceptor.
    pub(crate) rustls: RustlsConfig,
    resolver: CertificateResolver,
    renewal: Renewal,
}

/// What brings the next certificate.
enum Renewal {
    None,
    Files(CertificateFiles),
    Acme(Box<AcmeRenewer>),
}

impl TlsSetup {
    /// `None` when TLS is off.
    ///
    /// # Errors
    /// When there is no certificate that works.
    pub(crate) fn new(
        config: &Config,
        bound: SocketAddr,
        metrics: TlsMetrics,
    ) -> anyhow::Result<Option<Self>> {
        let (resolver, renewal) = match &config.tls {
            TlsMode::Off => return Ok(None),
            TlsMode::SelfSigned => {
                let pair = self_signed(config, bound)?;
                let resolver =
                    CertificateResolver::new(&pair, CertificateSource::SelfSigned, metrics);
                (resolver, Renewal::None)
            }
            TlsMode::Files { cert, key } => {
                let (files, pair) = CertificateFiles::read(cert, key)?;
                let resolver = CertificateResolver::new(&pair, CertificateSource::Files, metrics);
                (resolver, Renewal::Files(files))
            }
            TlsMode::Acme(acme) => {
                let renewer = AcmeRenewer::new(acme, config.timeouts.acme_backoff);
                let resolver = match renewer.current() {
                    Some(pair) => CertificateResolver::new(pair, CertificateSource::Acme, metrics),
                    None => CertificateResolver::placeholder(&self_signed(config, bound)?, metrics),
                };
                (resolver, Renewal::Acme(Box::new(renewer)))
            }
        };
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver.clone()));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if !matches!(config.streams, StreamSettings::Off) {
            server.alpn_protocols.push(STUN_TURN.to_vec());
        }
        if matches!(renewal, Renewal::Acme(_)) {
            server.alpn_protocols.push(ACME_TLS.to_vec());
        }
        Ok(Some(Self {
            rustls: RustlsConfig::from_config(Arc::new(server)),
            resolver,
            renewal,
        }))
    }

    /// Replaces the certificate whenever there is a new one, without end. Files are read at
    /// `poll_interval`, and whenever `poll_now` is notified.
    pub(crate) async fn renew(self, poll_interval: Duration, poll_now: Arc<Notify>) {
        match self.renewal {
            Renewal::Files(files) => files.watch(self.resolver, poll_interval, poll_now).await,
            Renewal::Acme(renewer) => renewer.run(self.resolver).await,
            Renewal::None => std::future::pending().await,
        }
    }
}

/// The certificate that an earlier start left, if browsers would take it. `now` in seconds since 1970.
pub(crate) fn read_cached_certificate(acme: &AcmeSettings, now: i64) -> Option<CertificateAndKey> {
    acme::usable_certificate(&acme::AcmeCache::new(acme), acme, now)
}

/// The pair that the files hold.
///
/// # Errors
/// When a file cannot be read, or the two do not work together.
pub(crate) fn read_files(cert: &Path, key: &Path) -> anyhow::Result<CertificateAndKey> {
    CertificateFiles::read(cert, key).map(|(_, pair)| pair)
}

fn self_signed(config: &Config, bound: SocketAddr) -> anyhow::Result<CertificateAndKey> {
    let mut names = BTreeSet::from(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.extend(
        config
            .relay_advertise
            .iter()
            .map(|address| address.ip.to_string()),
    );
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
    CertificateAndKey::from_der(vec![made.cert.der().clone()], key)
}
