//! How the relay is doing.

use std::fmt::Write as _;

use authloop_relay::{DropReason, StunOutcome};
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::registrar::{MetricRegistrar, advance, gauge};
use crate::shard::{BatchSizeHistogram, RelayStats};

/// The relay counts by itself; these follow its totals at every scrape.
pub(super) struct RelayMetrics {
    sessions: IntGauge,
    legs: IntGauge,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    drops: IntCounterVec,
    stun: IntCounterVec,
    migrations: IntCounter,
    socket_errors: IntCounterVec,
}

impl RelayMetrics {
    pub(super) fn new(registrar: &MetricRegistrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            sessions: registrar.gauge("authloop_relay_sessions", "Sessions open at the relay.")?,
            legs: registrar.gauge(
                "authloop_relay_legs_connected",
                "Legs with a validated path.",
            )?,
            packets: registrar.counters(
                "authloop_relay_packets_total",
                "Datagrams received, sent, and passed from leg to leg.",
                &["direction"],
            )?,
            bytes: registrar.counters(
                "authloop_relay_bytes_total",
                "UDP payload bytes received, sent, and passed from leg to leg.",
                &["direction"],
            )?,
            drops: registrar.counters(
                "authloop_relay_drops_total",
                "Datagrams dropped.",
                &["reason"],
            )?,
            stun: registrar.counters(
                "authloop_relay_stun_total",
                "STUN messages by fate.",
                &["result"],
            )?,
            migrations: registrar.counter(
                "authloop_relay_migrations_total",
                "Times that a leg moved from one path to another.",
            )?,
            socket_errors: registrar.counters(
                "authloop_relay_socket_errors_total",
                "Failed socket calls and datagrams lost to them.",
                &["kind"],
            )?,
        })
    }

    pub(super) fn update(&self, stats: &RelayStats) {
        let (counters, socket) = (&stats.counters, &stats.socket);
        self.sessions.set(gauge(stats.sessions));
        self.legs.set(gauge(stats.connected_legs));
        advance(&self.migrations, counters.migrations);
        for (direction, packets, bytes) in [
            ("received", socket.received_packets, socket.received_bytes),
            ("sent", socket.sent_packets, socket.sent_bytes),
            (
                "forwarded",
                counters.forwarded_packets,
                counters.forwarded_bytes,
            ),
        ] {
            advance(&self.packets.with_label_values(&[direction]), packets);
            advance(&self.bytes.with_label_values(&[direction]), bytes);
        }
        for reason in DropReason::ALL {
            let counter = self.drops.with_label_values(&[reason.label()]);
            advance(&counter, counters.dropped(reason));
        }
        for outcome in StunOutcome::ALL {
            let counter = self.stun.with_label_values(&[outcome.label()]);
            advance(&counter, counters.stun(outcome));
        }
        for (kind, total) in [
            ("truncated", socket.truncated),
            ("send_full", socket.send_full),
            ("send", socket.send_errors),
            ("receive", socket.receive_errors),
        ] {
            advance(&self.socket_errors.with_label_values(&[kind]), total);
        }
    }
}

/// Writes `authloop_relay_batch_packets`: the shards keep whole buckets, which the library's histogram
/// cannot take over.
pub(super) fn write_batches(text: &mut String, stats: &RelayStats) {
    const NAME: &str = "authloop_relay_batch_packets";
    let socket = &stats.socket;
    let _ = writeln!(
        text,
        "# HELP {NAME} Datagrams per socket call.\n# TYPE {NAME} histogram"
    );
    for (direction, batches, packets) in [
        ("received", &socket.receive_batches, socket.received_packets),
        ("sent", &socket.send_batches, socket.sent_packets),
    ] {
        let mut calls = 0;
        for (bound, count) in BatchSizeHistogram::BOUNDS.iter().zip(batches.0) {
            calls += count;
            let _ = writeln!(
                text,
                "{NAME}_bucket{{direction=\"{direction}\",le=\"{bound}\"}} {calls}"
            );
        }
        let label = format!("{{direction=\"{direction}\"}}");
        let _ = writeln!(
            text,
            "{NAME}_bucket{{direction=\"{direction}\",le=\"+Inf\"}} {calls}"
        );
        let _ = writeln!(
            text,
            "{NAME}_sum{label} {packets}\n{NAME}_count{label} {calls}"
        );
    }
}
