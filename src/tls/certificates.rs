//! Which certificate the port shows. Another one takes its place without touching a connection:
//! only handshakes that begin afterwards see it.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{ending::ACME_TLS, pair::Pair};
use crate::metrics::TlsMetrics;

/// Where a certificate came from, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `--tls files`.
    Files,
    /// `--tls self-signed`.
    SelfSigned,
    /// `--tls acme`.
    Acme,
}

impl Source {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::SelfSigned => "self_signed",
            Self::Acme => "acme",
        }
    }
}

/// The port's certificates; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shown: RwLock<Arc<CertifiedKey>>,
    answer: RwLock<Option<Answer>>,
    metrics: TlsMetrics,
}

/// What an authority that asks for this domain gets to see.
#[derive(Debug)]
struct Answer {
    domain: String,
    certificate: Arc<CertifiedKey>,
}

/// Takes the answer away when dropped.
#[derive(Debug)]
pub(super) struct Answering(Certificates);

impl Certificates {
    pub(crate) fn new(first: &Pair, source: Source, metrics: TlsMetrics) -> Self {
        let certificates = Self::placeholder(first, metrics);
        certificates.count(first, source);
        certificates
    }

    /// Something to show before there is a certificate that counts.
    pub(crate) fn placeholder(first: &Pair, metrics: TlsMetrics) -> Self {
        Self(Arc::new(Inner {
            shown: RwLock::new(first.certified.clone()),
            answer: RwLock::default(),
            metrics,
        }))
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

    /// Shows this one to the authority only.
    pub(super) fn answer(&self, domain: &str, certificate: Arc<CertifiedKey>) -> Answering {
        self.set_answer(Some(Answer {
            domain: domain.to_owned(),
            certificate,
        }));
        Answering(self.clone())
    }

    fn set_answer(&self, answer: Option<Answer>) {
        *self
            .0
            .answer
            .write()
            .unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// RFC 8737 §3: only to whoever asks for that domain.
    fn answer_for(&self, domain: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let answer = self.0.answer.read().unwrap_or_else(PoisonError::into_inner);
        let answer = answer.as_ref()?;
        let asked = domain?.eq_ignore_ascii_case(&answer.domain);
        asked.then(|| answer.certificate.clone())
    }

    fn count(&self, pair: &Pair, source: Source) {
        self.0.metrics.not_after.set(pair.not_after);
        self.0.metrics.update(source.label(), "shown");
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if is_challenge(&hello) {
            return self.answer_for(hello.server_name());
        }
        let shown = self.0.shown.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.clone())
    }
}

impl Drop for Answering {
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
