//! Every metric of the server: name, unit, labels. No label ever holds an id, an address or an
//! origin; all take values from short fixed lists.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use authloop_protocol::signal::{Outcome, WallType};
use authloop_relay::{DropReason, StunOutcome};
use authloop_signaling::{ClusterStats, Observer, SessionCounts, Side, SignalingEvent};
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

use crate::{
    audit::AuditStats,
    shard::{BatchSizeHistogram, RelayStats},
};
use audit::AuditMetrics;
use cluster::ClusterMetrics;
use keys::KeyMetrics;
use make::Make;

mod audit;
mod cluster;
mod connections;
mod keys;
mod make;
mod tls;

pub use connections::ConnectionMetrics;
pub use tls::TlsMetrics;

/// The label of sessions whose hosts said nothing of a wall.
const UNSPECIFIED: &str = "unspecified";

/// The server's counters.
pub struct Metrics {
    registry: Registry,
    sessions: IntGaugeVec,
    registered: IntCounter,
    claims: IntCounter,
    second_claims: IntCounter,
    ended: IntCounterVec,
    time_to_claim: Histogram,
    time_to_end: HistogramVec,
    time_to_resolve: HistogramVec,
    first_frame: Histogram,
    sockets: IntGaugeVec,
    socket_rejects: IntCounterVec,
    http_rejects: IntCounterVec,
    keys: KeyMetrics,
    forwarded: IntCounterVec,
    mailbox_drops: IntCounterVec,
    restarts: IntCounterVec,
    relay_failures: IntCounter,
    relay: RelayMetrics,
    cluster: ClusterMetrics,
    audit: AuditMetrics,
    streams: StreamMetrics,
    tls: TlsMetrics,
    connections: ConnectionMetrics,
    /// Two scrapes at once must not both add the same difference.
    rendering: Mutex<()>,
}

/// The relay counts by itself; these follow its totals at every scrape.
struct RelayMetrics {
    sessions: IntGauge,
    legs: IntGauge,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    drops: IntCounterVec,
    stun: IntCounterVec,
    migrations: IntCounter,
    socket_errors: IntCounterVec,
}

impl Metrics {
    /// Registers everything, at zero.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Make(&registry);
        let metrics = Self {
            sessions: make.gauges("authloop_sessions", "Sessions by state.", &["state"])?,
            registered: make
                .counter("authloop_sessions_registered_total", "Sessions registered.")?,
            claims: make.counter("authloop_claims_total", "Sessions claimed.")?,
            second_claims: make.counter(
                "authloop_second_claims_total",
                "Tries by another device to claim a claimed session.",
            )?,
            ended: make.counters(
                "authloop_sessions_ended_total",
                "Sessions ended, by what their hosts said they were about.",
                &["outcome", "wall_type"],
            )?,
            time_to_claim: make.histogram(
                "authloop_time_to_claim_seconds",
                "From registration to claim.",
            )?,
            time_to_end: make.histograms(
                "authloop_time_to_end_seconds",
                "From registration to end.",
                &["outcome"],
            )?,
            time_to_resolve: make.histograms(
                "authloop_time_to_resolve_seconds",
                "From claim to the end of resolved sessions that were claimed at this server.",
                &["wall_type"],
            )?,
            first_frame: make.quick_histogram(
                "authloop_time_to_first_frame_seconds",
                "From claim to the viewer's first picture, as viewers report it.",
            )?,
            sockets: make.gauges("authloop_websockets", "Open WebSockets.", &["side"])?,
            socket_rejects: make.counters(
                "authloop_websocket_rejects_total",
                "WebSockets that the server closed with an error.",
                &["side", "code"],
            )?,
            http_rejects: make.counters(
                "authloop_http_rejects_total",
                "Requests to the sessions API that were refused.",
                &["code"],
            )?,
            keys: KeyMetrics::new(&make)?,
            forwarded: make.counters(
                "authloop_sealed_forwarded_total",
                "Sealed blobs passed on or kept for a side.",
                &["to"],
            )?,
            mailbox_drops: make.counters(
                "authloop_mailbox_drops_total",
                "Sealed blobs dropped because a side's mailbox was full.",
                &["to"],
            )?,
            restarts: make.counters(
                "authloop_ice_restarts_total",
                "ICE credentials asked for anew.",
                &["side"],
            )?,
            relay_failures: make.counter(
                "authloop_relay_failures_total",
                "Times that the relay did not open or restart legs.",
            )?,
            relay: RelayMetrics::new(&make)?,
            cluster: ClusterMetrics::new(&make)?,
            audit: AuditMetrics::new(&make)?,
            streams: StreamMetrics::new(&make)?,
            tls: TlsMetrics::new(&make)?,
            connections: ConnectionMetrics::new(&make)?,
            rendering: Mutex::new(()),
            registry: registry.clone(),
        };
        let build = make.gauges("authloop_build_info", "The server's version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        for side in [Side::Host, Side::Viewer] {
            metrics.sockets.with_label_values(&[side.as_str()]).set(0);
        }
        Ok(metrics)
    }

    /// What the streams on the HTTP port count.
    #[must_use]
    pub fn streams(&self) -> &StreamMetrics {
        &self.streams
    }

    /// What the HTTP port counts.
    #[must_use]
    pub fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }

    /// What the certificate counts.
    #[must_use]
    pub fn tls(&self) -> &TlsMetrics {
        &self.tls
    }

    /// The API keys' file was read; `false` if it cannot be used.
    pub(crate) fn keys_read(&self, usable: bool) {
        self.keys.read(usable);
    }

    /// The file says what the server goes by.
    pub(crate) fn keys_unchanged(&self) {
        self.keys.current();
    }

    /// The text format (version 0.0.4) of everything.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn render(
        &self,
        counts: SessionCounts,
        relay: Option<&RelayStats>,
        cluster: Option<ClusterStats>,
        audit: Option<AuditStats>,
    ) -> prometheus::Result<String> {
        let _one_at_a_time = self
            .rendering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (state, count) in [
            ("created", counts.created),
            ("claimed", counts.claimed),
            ("ended", counts.ended),
        ] {
            self.sessions.with_label_values(&[state]).set(gauge(count));
        }
        if let Some(stats) = relay {
            self.relay.follow(stats);
        }
        if let Some(stats) = cluster {
            self.cluster.follow(&stats);
        }
        if let Some(stats) = audit {
            self.audit.follow(&stats);
        }
        let mut text = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        if let Some(stats) = relay {
            write_batches(&mut text, stats);
        }
        Ok(text)
    }
}

impl Observer for Metrics {
    fn observe(&self, event: SignalingEvent) {
        match event {
            SignalingEvent::Registered => self.registered.inc(),
            SignalingEvent::Claimed { after } => {
                self.claims.inc();
                self.time_to_claim.observe(after.as_secs_f64());
            }
            SignalingEvent::SecondClaim => self.second_claims.inc(),
            SignalingEvent::Ended {
                outcome,
                after,
                since_claim,
                wall_type,
            } => {
                let wall_type = wall_type.map_or(UNSPECIFIED, WallType::as_str);
                let name = outcome.as_str();
                self.ended.with_label_values(&[name, wall_type]).inc();
                self.time_to_end
                    .with_label_values(&[name])
                    .observe(after.as_secs_f64());
                if let (Outcome::Resolved, Some(after)) = (outcome, since_claim) {
                    self.time_to_resolve
                        .with_label_values(&[wall_type])
                        .observe(after.as_secs_f64());
                }
            }
            SignalingEvent::FirstFrame { after } => self.first_frame.observe(after.as_secs_f64()),
            SignalingEvent::SocketOpened(side) => {
                self.sockets.with_label_values(&[side.as_str()]).inc()
            }
            SignalingEvent::SocketClosed(side) => {
                self.sockets.with_label_values(&[side.as_str()]).dec()
            }
            SignalingEvent::SocketRejected { side, code } => {
                let code = code.close_code().to_string();
                self.socket_rejects
                    .with_label_values(&[side.as_str(), &code])
                    .inc();
            }
            SignalingEvent::HttpRejected(code) => {
                self.http_rejects.with_label_values(&[code]).inc()
            }
            SignalingEvent::ApiKey(result) => self.keys.request(result),
            SignalingEvent::Forwarded(to) => self.forwarded.with_label_values(&[to.as_str()]).inc(),
            SignalingEvent::MailboxDropped(to) => {
                self.mailbox_drops.with_label_values(&[to.as_str()]).inc()
            }
            SignalingEvent::Restarted(side) => {
                self.restarts.with_label_values(&[side.as_str()]).inc()
            }
            SignalingEvent::RelayFailed => self.relay_failures.inc(),
        }
    }
}

impl RelayMetrics {
    fn new(make: &Make<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            sessions: make.gauge("authloop_relay_sessions", "Sessions open at the relay.")?,
            legs: make.gauge(
                "authloop_relay_legs_connected",
                "Legs with a validated path.",
            )?,
            packets: make.counters(
                "authloop_relay_packets_total",
                "Datagrams received, sent, and passed from leg to leg.",
                &["direction"],
            )?,
            bytes: make.counters(
                "authloop_relay_bytes_total",
                "UDP payload bytes received, sent, and passed from leg to leg.",
                &["direction"],
            )?,
            drops: make.counters(
                "authloop_relay_drops_total",
                "Datagrams dropped.",
                &["reason"],
            )?,
            stun: make.counters(
                "authloop_relay_stun_total",
                "STUN messages by fate.",
                &["result"],
            )?,
            migrations: make.counter(
                "authloop_relay_migrations_total",
                "Times that a leg moved from one path to another.",
            )?,
            socket_errors: make.counters(
                "authloop_relay_socket_errors_total",
                "Failed socket calls and datagrams lost to them.",
                &["kind"],
            )?,
        })
    }

    fn follow(&self, stats: &RelayStats) {
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

/// Streams on the HTTP port. Whoever counts often resolves the labels once.
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
    /// By `kind` and `reason`; what there was no place for is `refused`.
    pub(crate) ended: IntCounterVec,
}

impl StreamMetrics {
    fn new(make: &Make<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            accepted: make.counters(
                "authloop_streams_accepted_total",
                "Connections at the HTTP port by what they speak.",
                &["kind"],
            )?,
            open: make.gauges(
                "authloop_streams_open",
                "Streams that carry a leg's datagrams.",
                &["kind"],
            )?,
            bytes: make.counters(
                "authloop_stream_bytes_total",
                "Bytes of such streams, framing included, TLS excluded.",
                &["kind", "direction"],
            )?,
            drops: make.counters(
                "authloop_stream_drops_total",
                "Datagrams that a stream or its shard did not take.",
                &["reason"],
            )?,
            ended: make.counters(
                "authloop_streams_ended_total",
                "Streams ended or refused.",
                &["kind", "reason"],
            )?,
        })
    }
}

/// `authloop_relay_batch_packets`: the shards keep whole buckets, which the library's histogram
/// cannot take over.
fn write_batches(text: &mut String, stats: &RelayStats) {
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

fn advance(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
