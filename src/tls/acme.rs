//! `--tls acme`: has certificates issued (RFC 8555) and renews them. The authority's challenge is
//! answered on the port itself (RFC 8737), so that nothing else need be open.

mod cache;
mod challenge;
mod order;
mod schedule;

use std::time::Duration;

use anyhow::Context as _;

use super::{
    certificate_and_key::{CertificateAndKey, unix_now},
    resolver::{CertificateResolver, CertificateSource},
};
use crate::config::AcmeSettings;
use schedule::Backoff;

pub(super) use cache::AcmeCache;

/// Time that one order may take; an authority that hangs must not stop renewals for good.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Longest wait between two looks at the clock: a machine that was suspended must not miss the time.
const MAX_CLOCK_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Keeps one domain's certificate renewed.
#[derive(Debug)]
pub(crate) struct AcmeRenewer {
    acme: AcmeSettings,
    cache: AcmeCache,
    /// What there is already.
    current: Option<CertificateAndKey>,
    backoff: Backoff,
}

impl AcmeRenewer {
    /// Takes up what an earlier start left. `backoff` is the wait after a first failure.
    pub(crate) fn new(acme: &AcmeSettings, backoff: Duration) -> Self {
        let cache = AcmeCache::new(acme);
        let current = usable_certificate(&cache, acme, unix_now());
        Self {
            acme: acme.clone(),
            cache,
            current,
            backoff: Backoff::new(backoff),
        }
    }

    /// The certificate of an earlier start.
    pub(crate) fn current(&self) -> Option<&CertificateAndKey> {
        self.current.as_ref()
    }

    /// Has a certificate issued whenever one is due, without end.
    pub(crate) async fn run(mut self, resolver: CertificateResolver) {
        // For the client of the directory. Another provider that is set already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        loop {
            if let Some(pair) = &self.current {
                wait_until(schedule::due(
                    pair.not_before,
                    pair.not_after,
                    random_fraction(),
                ))
                .await;
            }
            match self.issue(&resolver).await {
                Ok(pair) => {
                    resolver.install(&pair, CertificateSource::Acme);
                    tracing::info!(not_after = pair.not_after, "a certificate was issued");
                    self.current = Some(pair);
                    self.backoff.reset();
                }
                Err(error) => {
                    resolver.record_failure(CertificateSource::Acme);
                    let wait = self.backoff.next(random_fraction());
                    tracing::error!(
                        error = format!("{error:#}"),
                        again_in_seconds = wait.as_secs(),
                        "no certificate was issued"
                    );
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn issue(&self, resolver: &CertificateResolver) -> anyhow::Result<CertificateAndKey> {
        tracing::info!(directory = self.acme.directory, "asking for a certificate");
        let order = order::certificate(&self.acme, &self.cache, resolver);
        let issued = tokio::time::timeout(ORDER_TIMEOUT, order)
            .await
            .context("the order takes too long")??;
        let pair = CertificateAndKey::from_pem(issued.chain.as_bytes(), issued.key.as_bytes())
            .context("the authority's certificate does not work")?;
        anyhow::ensure!(
            pair.covers(&self.acme.domain),
            "the authority's certificate is for another name"
        );
        // Without this, a clock that is wrong would ask again at once, and for ever.
        anyhow::ensure!(
            schedule::due(pair.not_before, pair.not_after, 1.0) > unix_now(),
            "the authority's certificate is due for renewal already: is this machine's clock right?"
        );
        // It is good all the same, and another order would only spend the authority's patience.
        if let Err(error) = self.cache.store_certificate(&issued.chain, &issued.key) {
            tracing::error!(%error, "cannot keep the certificate in the cache: the next start will ask for another");
        }
        Ok(pair)
    }
}

/// The cached certificate, unless a browser would refuse it. `now` in seconds since 1970.
pub(super) fn usable_certificate(
    cache: &AcmeCache,
    acme: &AcmeSettings,
    now: i64,
) -> Option<CertificateAndKey> {
    let pair = cache.certificate()?;
    (pair.covers(&acme.domain) && !pair.has_expired(now)).then_some(pair)
}

/// Waits for a Unix time in seconds.
async fn wait_until(due: i64) {
    while let left @ 1.. = due - unix_now() {
        let left = Duration::from_secs(left.unsigned_abs());
        tokio::time::sleep(left.min(MAX_CLOCK_INTERVAL)).await;
    }
}

/// From 0 to 1; 0 where the system gives no random bytes, which only makes servers ask together.
fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(0);
    f64::from(random) / f64::from(u32::MAX)
}
