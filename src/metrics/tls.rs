//! What the port's certificate counts.

use prometheus::{IntCounterVec, IntGauge};

use super::registrar::MetricRegistrar;

/// The certificate that the port shows, and those that were to take its place.
#[derive(Clone, Debug)]
pub struct TlsMetrics {
    /// Seconds since 1970; 0 where there is no certificate.
    pub(crate) not_after: IntGauge,
    /// By `source`: `files`, `self_signed`, `acme`; and `result`: `shown`, `failed`.
    updates: IntCounterVec,
}

impl TlsMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        let metrics = Self {
            not_after: registrar.gauge(
                "authloop_tls_certificate_not_after_seconds",
                "When the certificate that is shown ends to be valid, in seconds since 1970; 0 where there is none yet.",
            )?,
            updates: registrar.counters(
                "authloop_tls_certificate_updates_total",
                "Certificates shown, or kept out because they do not work.",
                &["source", "result"],
            )?,
        };
        // So that the first failure is seen as an increase.
        for source in ["files", "self_signed", "acme"] {
            for result in ["shown", "failed"] {
                metrics.updates.with_label_values(&[source, result]);
            }
        }
        Ok(metrics)
    }

    pub(crate) fn update(&self, source: &str, result: &str) {
        self.updates.with_label_values(&[source, result]).inc();
    }
}
