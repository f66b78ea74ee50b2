//! Requests with API keys, and the file that the keys come from. No label names a key.

use prometheus::{IntCounterVec, IntGauge};

use super::registrar::MetricRegistrar;

/// Every fate of a request that needs an API key.
const RESULTS: [&str; 6] = [
    "ok",
    "missing",
    "unknown",
    "expired",
    "insufficient_scope",
    "rate_limited",
];

pub(super) struct KeyMetrics {
    requests: IntCounterVec,
    reloads: IntCounterVec,
    stale: IntGauge,
}

impl KeyMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: registrar.counters(
                "authloop_api_key_requests_total",
                "Requests that need an API key, by what came of it.",
                &["result"],
            )?,
            reloads: registrar.counters(
                "authloop_api_keys_reloads_total",
                "Times that the API keys' file was read again.",
                &["result"],
            )?,
            stale: registrar.gauge(
                "authloop_api_keys_stale",
                "1 while the API keys' file cannot be used and older keys go on.",
            )?,
        };
        for result in RESULTS {
            metrics.requests.with_label_values(&[result]);
        }
        for result in ["ok", "failed"] {
            metrics.reloads.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    pub(super) fn request(&self, result: &str) {
        self.requests.with_label_values(&[result]).inc();
    }

    pub(super) fn read(&self, usable: bool) {
        let result = if usable { "ok" } else { "failed" };
        self.reloads.with_label_values(&[result]).inc();
        self.stale.set(i64::from(!usable));
    }

    pub(super) fn current(&self) {
        self.stale.set(0);
    }
}
