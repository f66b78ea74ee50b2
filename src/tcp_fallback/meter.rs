//! Counts one stream, with its labels resolved once.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::protocol::StreamProtocol;
use crate::metrics::StreamMetrics;

/// Counts a stream as open for as long as it lives.
pub(super) struct StreamMeter {
    pub(super) received: IntCounter,
    pub(super) sent: IntCounter,
    /// Datagrams for a client that does not read in time.
    pub(super) queue_full: IntCounter,
    /// Datagrams that the shard did not take in time.
    pub(super) relay_full: IntCounter,
    /// Datagrams for a TURN client that has no permission for its peer.
    pub(super) not_permitted: IntCounter,
    open: IntGauge,
    ended: IntCounterVec,
    kind: &'static str,
}

impl StreamMeter {
    pub(super) fn start(metrics: &StreamMetrics, protocol: StreamProtocol) -> Self {
        let kind = protocol.label();
        metrics.accepted.with_label_values(&[kind]).inc();
        let open = metrics.open.with_label_values(&[kind]);
        open.inc();
        let bytes = |direction| metrics.bytes.with_label_values(&[kind, direction]);
        let drops = |reason| metrics.drops.with_label_values(&[reason]);
        Self {
            received: bytes("received"),
            sent: bytes("sent"),
            queue_full: drops("queue_full"),
            relay_full: drops("relay_full"),
            not_permitted: drops("not_permitted"),
            open,
            ended: metrics.ended.clone(),
            kind,
        }
    }

    pub(super) fn end(self, reason: &'static str) {
        self.ended.with_label_values(&[self.kind, reason]).inc();
    }
}

impl Drop for StreamMeter {
    fn drop(&mut self) {
        self.open.dec();
    }
}
