//! What a server counts as one of several. The numbers come from signaling at every scrape.

use authloop_signaling::ClusterStats;
use prometheus::{IntCounter, IntGauge};

use super::registrar::{MetricRegistrar, advance, gauge};

pub(super) struct ClusterMetrics {
    nodes: IntGauge,
    connected: IntGauge,
    bridges: IntGauge,
    taken_over: IntCounter,
}

impl ClusterMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            nodes: registrar.gauge(
                "authloop_cluster_nodes",
                "Servers that act as one, this one included; 0 for a server alone.",
            )?,
            connected: registrar.gauge(
                "authloop_cluster_redis_connected",
                "Whether Redis answered last; 0 for a server alone.",
            )?,
            bridges: registrar.gauge(
                "authloop_cluster_bridges",
                "WebSockets here whose session is at another server.",
            )?,
            taken_over: registrar.counter(
                "authloop_cluster_sessions_taken_over_total",
                "Sessions that this server took over from another.",
            )?,
        })
    }

    pub(super) fn update(&self, stats: &ClusterStats) {
        self.nodes.set(gauge(stats.nodes));
        self.connected.set(i64::from(stats.connected));
        self.bridges.set(gauge(stats.bridges));
        advance(&self.taken_over, stats.taken_over);
    }
}
