//! How the audit log is doing; the writer counts by itself, and these follow it at every scrape.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::registrar::{MetricRegistrar, advance};
use crate::audit::AuditStats;

pub(super) struct AuditMetrics {
    lines: IntCounter,
    unwritten: IntCounterVec,
    failures: IntCounter,
    failing: IntGauge,
}

impl AuditMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        let metrics = Self {
            lines: registrar.counter(
                "authloop_audit_lines_total",
                "Lines of the audit log written.",
            )?,
            unwritten: registrar.counters(
                "authloop_audit_unwritten_total",
                "Events that the audit log has as a number only.",
                &["reason"],
            )?,
            failures: registrar.counter(
                "authloop_audit_write_failures_total",
                "Failed tries to write the audit log.",
            )?,
            failing: registrar.gauge(
                "authloop_audit_failing",
                "1 while the audit log cannot be written.",
            )?,
        };
        for reason in ["queue_full", "refusal_rate"] {
            metrics.unwritten.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(super) fn update(&self, stats: &AuditStats) {
        advance(&self.lines, stats.lines);
        advance(&self.failures, stats.write_failures);
        self.failing.set(i64::from(stats.failing));
        for (reason, total) in [("queue_full", stats.lost), ("refusal_rate", stats.omitted)] {
            advance(&self.unwritten.with_label_values(&[reason]), total);
        }
    }
}
