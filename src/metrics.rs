//! Every metric of the server: name, unit, labels. No label ever holds an id, an address or an
//! origin; all take values from short fixed lists.

use authloop_protocol::signal::{Outcome, WallType};
use authloop_signaling::{ClusterStats, Observer, SessionCounts, Side, SignalingEvent};
use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder,
};

use crate::{audit::AuditStats, shard::RelayStats};
use audit::AuditMetrics;
use cluster::ClusterMetrics;
use keys::KeyMetrics;
use registrar::{MetricRegistrar, gauge};
use relay::RelayMetrics;

mod audit;
mod cluster;
mod connections;
mod keys;
mod registrar;
mod relay;
mod streams;
mod tls;

pub use connections::ConnectionMetrics;
pub use streams::StreamMetrics;
pub use tls::TlsMetrics;

/// The label of sessions whose hosts named no wall.
const UNSPECIFIED_WALL: &str = "unspecified";

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

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Registers everything, at zero.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let registrar = MetricRegistrar(&registry);
        let metrics = Self {
            sessions: registrar.gauges("authloop_sessions", "Sessions by state.", &["state"])?,
            registered: registrar
                .counter("authloop_sessions_registered_total", "Sessions registered.")?,
            claims: registrar.counter("authloop_claims_total", "Sessions claimed.")?,
            second_claims: registrar.counter(
                "authloop_second_claims_total",
                "Tries by another device to claim a claimed session.",
            )?,
            ended: registrar.counters(
                "authloop_sessions_ended_total",
                "Sessions ended, by what their hosts said they were about.",
                &["outcome", "wall_type"],
            )?,
            time_to_claim: registrar.histogram(
                "authloop_time_to_claim_seconds",
                "From registration to claim.",
            )?,
            time_to_end: registrar.histograms(
                "authloop_time_to_end_seconds",
                "From registration to end.",
                &["outcome"],
            )?,
            time_to_resolve: registrar.histograms(
                "authloop_time_to_resolve_seconds",
                "From claim to the end of resolved sessions that were claimed at this server.",
                &["wall_type"],
            )?,
            first_frame: registrar.quick_histogram(
                "authloop_time_to_first_frame_seconds",
                "From claim to the viewer's first picture, as viewers report it.",
            )?,
            sockets: registrar.gauges("authloop_websockets", "Open WebSockets.", &["side"])?,
            socket_rejects: registrar.counters(
                "authloop_websocket_rejects_total",
                "WebSockets that the server closed with an error.",
                &["side", "code"],
            )?,
            http_rejects: registrar.counters(
                "authloop_http_rejects_total",
                "Requests to the sessions API that were refused.",
                &["code"],
            )?,
            keys: KeyMetrics::new(&registrar)?,
            forwarded: registrar.counters(
                "authloop_sealed_forwarded_total",
                "Sealed blobs passed on or kept for a side.",
                &["to"],
            )?,
            mailbox_drops: registrar.counters(
                "authloop_mailbox_drops_total",
                "Sealed blobs dropped because a side's mailbox was full.",
                &["to"],
            )?,
            restarts: registrar.counters(
                "authloop_ice_restarts_total",
                "ICE credentials asked for anew.",
                &["side"],
            )?,
            relay_failures: registrar.counter(
                "authloop_relay_failures_total",
                "Times that the relay did not open or restart legs.",
            )?,
            relay: RelayMetrics::new(&registrar)?,
            cluster: ClusterMetrics::new(&registrar)?,
            audit: AuditMetrics::new(&registrar)?,
            streams: StreamMetrics::new(&registrar)?,
            tls: TlsMetrics::new(&registrar)?,
            connections: ConnectionMetrics::new(&registrar)?,
            rendering: Mutex::new(()),
            registry: registry.clone(),
        };
        let build =
            registrar.gauges("authloop_build_info", "The server's version.", &["version"])?;
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
        let _one_at_a_time = self.rendering.lock();
        for (state, count) in [
            ("created", counts.created),
            ("claimed", counts.claimed),
            ("ended", counts.ended),
        ] {
            self.sessions.with_label_values(&[state]).set(gauge(count));
        }
        if let Some(stats) = relay {
            self.relay.update(stats);
        }
        if let Some(stats) = cluster {
            self.cluster.update(&stats);
        }
        if let Some(stats) = audit {
            self.audit.update(&stats);
        }
        let mut text = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        if let Some(stats) = relay {
            relay::write_batches(&mut text, stats);
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
                let wall_type = wall_type.map_or(UNSPECIFIED_WALL, WallType::as_str);
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
