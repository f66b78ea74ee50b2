//! What the streams at the HTTP port count.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::registrar::MetricRegistrar;

/// Streams on the HTTP port. Code that counts often resolves the labels once.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    /// By `kind`: `http`, `turn`, `ice_tcp`.
    pub(crate) accepted: IntCounterVec,
    /// By `kind`: `turn`, `ice_tcp`.
    pub(crate) open: IntGaugeVec,
    /// By `kind` and `direction`: `received`, `sent`.
    pub(crate) bytes: IntCounterVec,
    /// Datagrams by `reason`: `queue_full`, `relay_full`, `not_permitted`.
    pub(crate) drops: IntCounterVec,
    /// By `kind` and `reason`; a stream beyond the limits is `refused`.
    pub(crate) ended: IntCounterVec,
}

impl StreamMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            accepted: registrar.counters(
                "authloop_streams_accepted_total",
                "Connections at the HTTP port by what they speak.",
                &["kind"],
            )?,
            open: registrar.gauges(
                "authloop_streams_open",
                "Streams that carry a leg's datagrams.",
                &["kind"],
            )?,
            bytes: registrar.counters(
                "authloop_stream_bytes_total",
                "Bytes of such streams, framing included, TLS excluded.",
                &["kind", "direction"],
            )?,
            drops: registrar.counters(
                "authloop_stream_drops_total",
                "Datagrams that a stream or its shard did not take.",
                &["reason"],
            )?,
            ended: registrar.counters(
                "authloop_streams_ended_total",
                "Streams ended or refused.",
                &["kind", "reason"],
            )?,
        })
    }
}
