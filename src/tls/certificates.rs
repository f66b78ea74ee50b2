//! Which certificate the port shows. Another one takes its place without touching a connection:
//! only handshakes that begin afterwards see it.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::pair::Pair;
use crate::metrics::TlsMetrics;

/// Where a certificate came from, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `--tls files`.
    Files,
    /// `--tls self-signed`.
    SelfSigned,
}

impl Source {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::SelfSigned => "self_signed",
        }
    }
}

/// The port's certificates; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shown: RwLock<Arc<CertifiedKey>>,
    metrics: TlsMetrics,
}

impl Certificates {
    pub(crate) fn new(first: &Pair, source: Source, metrics: TlsMetrics) -> Self {
        let certificates = Self(Arc::new(Inner {
            shown: RwLock::new(first.certified.clone()),
            metrics,
        }));
        certificates.count(first, source);
        certificates
    }

    /// Shows this one from now on.
    pub(crate) fn show(&self, pair: &Pair, source: Source) {
        let mut shown = self.0.shown.write().unwrap_or_else(PoisonError::into_inner);
        *shown = pair.certified.clone();
        drop(shown);
        self.count(pair, source);
    }

    /// Says that there is no use in a new one, so that the old one stays.
    pub(crate) fn keep(&self, source: Source) {
        self.0.metrics.update(source.label(), "failed");
    }

    fn count(&self, pair: &Pair, source: Source) {
        self.0.metrics.not_after.set(pair.not_after);
        self.0.metrics.update(source.label(), "shown");
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.shown.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.clone())
    }
}
