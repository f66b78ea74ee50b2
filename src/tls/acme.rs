//! `--tls acme`: has certificates issued (RFC 8555) and renews them. The authority's challenge is
//! answered on the port itself (RFC 8737), so that nothing else need be open.

mod cache;
mod challenge;
mod order;
mod schedule;

use std::time::Duration;

use anyhow::Context as _;

use super::{
    certificates::{Certificates, Source},
    pair::{Pair, unix_now},
};
use crate::config::Acme;
pub(super) use cache::Cache;
use schedule::Backoff;

/// One order may take no longer; an authority that hangs must not stop renewals for ever.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How often the clock is read while waiting: a machine that slept must not sleep through the end.
const CLOCK: Duration = Duration::from_secs(60 * 60);

/// Keeps one domain's certificate.
#[derive(Debug)]
pub(crate) struct Keeper {
    acme: Acme,
    cache: Cache,
    /// What there is already.
    current: Option<Pair>,
    backoff: Backoff,
}

impl Keeper {
    /// Takes up what an earlier start left. `backoff` is the wait after a first failure.
    pub(crate) fn new(acme: &Acme, backoff: Duration) -> Self {
        let cache = Cache::new(acme);
        let current = usable(&cache, acme, unix_now());
        Self {
            acme: acme.clone(),
            cache,
            current,
            backoff: Backoff::new(backoff),
        }
    }

    /// The certificate of an earlier start.
    pub(crate) fn current(&self) -> Option<&Pair> {
        self.current.as_ref()
    }

    /// Has a certificate issued whenever one is due, for ever.
    pub(crate) async fn keep(mut self, certificates: Certificates) {
        // For the client of the directory. Another provider that is set already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        loop {
            if let Some(pair) = &self.current {
                wait_until(schedule::due(pair.not_before, pair.not_after, chance())).await;
            }
            match self.issue(&certificates).await {
                Ok(pair) => {
                    certificates.show(&pair, Source::Acme);
                    tracing::info!(not_after = pair.not_after, "a certificate was issued");
                    self.current = Some(pair);
                    self.backoff.reset();
                }
                Err(error) => {
                    certificates.keep(Source::Acme);
                    let wait = self.backoff.next(chance());
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

    async fn issue(&self, certificates: &Certificates) -> anyhow::Result<Pair> {
        tracing::info!(directory = self.acme.directory, "asking for a certificate");
        let order = order::certificate(&self.acme, &self.cache, certificates);
        let issued = tokio::time::timeout(ORDER_TIMEOUT, order)
            .await
            .context("the order takes too long")??;
        let pair = Pair::from_pem(issued.chain.as_bytes(), issued.key.as_bytes())
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
        if let Err(error) = self.cache.keep_certificate(&issued.chain, &issued.key) {
            tracing::error!(%error, "cannot keep the certificate in the cache: the next start will ask for another");
        }
        Ok(pair)
    }
}

/// The cached certificate, unless a browser would refuse it. `now` in seconds since 1970.
pub(super) fn usable(cache: &Cache, acme: &Acme, now: i64) -> Option<Pair> {
    let pair = cache.certificate()?;
    (pair.covers(&acme.domain) && !pair.has_expired(now)).then_some(pair)
}

/// Waits for a Unix time in seconds.
async fn wait_until(due: i64) {
    while let left @ 1.. = due - unix_now() {
        let left = Duration::from_secs(left.unsigned_abs());
        tokio::time::sleep(left.min(CLOCK)).await;
    }
}

/// From 0 to 1; 0 where the system gives no random bytes, which only makes servers ask together.
fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(0);
    f64::from(random) / f64::from(u32::MAX)
}
