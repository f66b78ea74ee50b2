//! Chooses the certificate that the port shows. Another takes its place without touching a connection:
//! only handshakes that begin afterwards see it.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{certificate_and_key::CertificateAndKey, challenge_closer::ACME_TLS};
use crate::metrics::TlsMetrics;

/// Where a certificate came from, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSource {
    /// `--tls files`.
    Files,
    /// `--tls self-signed`.
    SelfSigned,
    /// `--tls acme`.
    Acme,
}

impl CertificateSource {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::SelfSigned => "self_signed",
            Self::Acme => "acme",
        }
    }
}

/// The certificates that the port shows; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct CertificateResolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shown: RwLock<Arc<CertifiedKey>>,
    answer: RwLock<Option<ChallengeResponse>>,
    metrics: TlsMetrics,
}

/// The certificate that proves control of a domain to an authority.
#[derive(Debug)]
struct ChallengeResponse {
    domain: String,
    certificate: Arc<CertifiedKey>,
}

/// Shows the challenge's certificate until it is dropped.
#[derive(Debug)]
pub(super) struct ChallengeGuard(CertificateResolver);

impl CertificateResolver {
    pub(crate) fn new(
        first: &CertificateAndKey,
        source: CertificateSource,
        metrics: TlsMetrics,
    ) -> Self {
        let resolver = Self::placeholder(first, metrics);
        resolver.count(first, source);
        resolver
    }

    /// Something to show before there is a certificate that counts.
    pub(crate) fn placeholder(first: &CertificateAndKey, metrics: TlsMetrics) -> Self {
        Self(Arc::new(Inner {
            shown: RwLock::new(first.certified.clone()),
            answer: RwLock::default(),
            metrics,
        }))
    }

    /// Shows this one from now on.
    pub(crate) fn install(&self, pair: &CertificateAndKey, source: CertificateSource) {
        let mut shown = self.0.shown.write();
        *shown = pair.certified.clone();
        drop(shown);
        self.count(pair, source);
    }

    /// Counts a new certificate that does not work, so that the old one stays.
    pub(crate) fn record_failure(&self, source: CertificateSource) {
        self.0.metrics.update(source.label(), "failed");
    }

    /// Shows this one to the authority only.
    pub(super) fn answer(&self, domain: &str, certificate: Arc<CertifiedKey>) -> ChallengeGuard {
        self.set_answer(Some(ChallengeResponse {
            domain: domain.to_owned(),
            certificate,
        }));
        ChallengeGuard(self.clone())
    }

    fn set_answer(&self, answer: Option<ChallengeResponse>) {
        *self.0.answer.write() = answer;
    }

    /// RFC 8737 §3: only to whoever asks for that domain.
    fn answer_for(&self, domain: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let answer = self.0.answer.read();
        let answer = answer.as_ref()?;
        let asked = domain?.eq_ignore_ascii_case(&answer.domain);
        asked.then(|| answer.certificate.clone())
    }

    fn count(&self, pair: &CertificateAndKey, source: CertificateSource) {
        self.0.metrics.not_after.set(pair.not_after);
        self.0.metrics.update(source.label(), "shown");
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if is_challenge(&hello) {
            return self.answer_for(hello.server_name());
        }
        let shown = self.0.shown.read();
        Some(shown.clone())
    }
}

impl Drop for ChallengeGuard {
    fn drop(&mut self) {
        self.0.set_answer(None);
    }
}

/// RFC 8737 §3: the authority offers this protocol and no other.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none())
}
