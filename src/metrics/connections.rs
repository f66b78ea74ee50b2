//! What the HTTP port counts before anyone speaks HTTP.

use prometheus::{IntCounterVec, IntGauge};

use super::registrar::MetricRegistrar;

/// Connections at the HTTP port.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Those that hold a place.
    pub(crate) open: IntGauge,
    /// By `reason`: `total`, `address`, `slow`, `unread`.
    refused: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        let metrics = Self {
            open: registrar.gauge(
                "authloop_connections_open",
                "Connections at the HTTP port and the operators', without streams that carry a leg's datagrams.",
            )?,
            refused: registrar.counters(
                "authloop_connections_refused_total",
                "Connections refused for lack of a place, cut before they had said what they speak, or for not reading.",
                &["reason"],
            )?,
        };
        for reason in ["total", "address", "slow", "unread"] {
            metrics.refused.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(crate) fn refuse(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
