//! TLS by rustls with the ring provider.

mod acme;
mod certificates;
mod ending;
mod files;
mod pair;

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::sync::Notify;

use crate::{
    config::{Acme, Config, Tls},
    metrics::TlsMetrics,
};
use acme::Keeper;
use certificates::{Certificates, Source};
use ending::ACME_TLS;
use files::Files;

pub(crate) use ending::EndChallenges;
#[cfg(test)]
pub(crate) use pair::tests;
pub(crate) use pair::{Pair, unix_now};

/// What the port needs for TLS, and what changes its certificate.
pub(crate) struct Port {
    /// For the acceptor.
    pub(crate) rustls: RustlsConfig,
    certificates: Certificates,
    renewal: Renewal,
}

/// Where the next certificate comes from.
enum Renewal {
    Nowhere,
    Files(Files),
    Acme(Box<Keeper>),
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
        let (certificates, renewal) = match &config.tls {
            Tls::Off => return Ok(None),
            Tls::SelfSigned => {
                let pair = self_signed(config, bound)?;
                let certificates = Certificates::new(&pair, Source::SelfSigned, metrics);
                (certificates, Renewal::Nowhere)
            }
            Tls::Files { cert, key } => {
                let (files, pair) = Files::read(cert, key)?;
                let certificates = Certificates::new(&pair, Source::Files, metrics);
                (certificates, Renewal::Files(files))
            }
            Tls::Acme(acme) => {
                let keeper = Keeper::new(acme, config.timeouts.acme_backoff);
                let certificates = match keeper.current() {
                    Some(pair) => Certificates::new(pair, Source::Acme, metrics),
                    None => Certificates::placeholder(&self_signed(config, bound)?, metrics),
                };
                (certificates, Renewal::Acme(Box::new(keeper)))
            }
        };
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates.clone()));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if matches!(renewal, Renewal::Acme(_)) {
            server.alpn_protocols.push(ACME_TLS.to_vec());
        }
        Ok(Some(Self {
            rustls: RustlsConfig::from_config(Arc::new(server)),
            certificates,
            renewal,
        }))
    }

    /// Replaces the certificate whenever there is a new one, for ever. Files are looked at so
    /// often, and `at_once` when told.
    pub(crate) async fn renew(self, every: Duration, at_once: Arc<Notify>) {
        match self.renewal {
            Renewal::Files(files) => files.follow(self.certificates, every, at_once).await,
            Renewal::Acme(keeper) => keeper.keep(self.certificates).await,
            Renewal::Nowhere => std::future::pending().await,
        }
    }
}

/// The certificate that an earlier start left, if browsers would take it. `now` in seconds since 1970.
pub(crate) fn read_cache(acme: &Acme, now: i64) -> Option<Pair> {
    acme::usable(&acme::Cache::new(acme), acme, now)
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
