//! Every metric of the host: name, unit, labels. No label ever holds an id, an address or an
//! origin; all take values from short fixed lists.

#![forbid(unsafe_code)]

use std::{sync::Arc, time::Instant};

use authloop_protocol::{input::InputEvent, output::RefusedReason};
use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse as _,
    routing::get,
};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder, core::Collector,
};

/// Seconds that a person looking on would notice, or not.
const LATENCY_BUCKETS_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0,
];

const OUTCOMES: [&str; 5] = ["resolved", "cancelled", "timeout", "error", "not_started"];
const FRAME_KINDS: [&str; 2] = ["key", "delta"];
const INPUT_KINDS: [&str; 2] = ["typed", "pointer"];
const REFUSAL_REASONS: [&str; 4] = ["epoch", "locked", "malformed", "unsupported"];
const WEBHOOK_RESULTS: [&str; 3] = ["delivered", "given_up", "dropped"];

/// The host's counters; the default counts nothing.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Instruments>>);

struct Instruments {
    registry: Registry,
    open: IntGauge,
    ended: IntCounterVec,
    capture_to_send: Histogram,
    frames: IntCounterVec,
    frame_bytes: IntCounter,
    input_to_cdp: HistogramVec,
    input_refused: IntCounterVec,
    webhooks: IntCounterVec,
}

/// Whether anything is counted.
impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metrics({})", self.0.is_some())
    }
}

/// An open session; counted until it is dropped.
#[derive(Debug)]
pub struct OpenSession(Option<IntGauge>);

impl Drop for OpenSession {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.dec();
        }
    }
}

impl Metrics {
    /// Counters at zero, each label's values there from the start, and the process's own figures.
    ///
    /// # Errors
    /// What the library says of a name that is wrong or there twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Registrar(&registry);
        let version = Opts::new("authloop_host_build_info", "Always 1; the host's version.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        make.register(IntGauge::with_opts(version)?)?.set(1);
        let inner = Instruments {
            open: make.register(IntGauge::new(
                "authloop_host_sessions_open",
                "Sessions that agents have open.",
            )?)?,
            ended: make.counters(
                "authloop_host_sessions_ended_total",
                "Sessions that ended, by how; not_started had no link yet.",
                "outcome",
                &OUTCOMES,
            )?,
            capture_to_send: make.register(Histogram::with_opts(seconds(
                "authloop_host_capture_to_send_seconds",
                "From a changed picture's arrival from the browser to its first video frame's handing to the pacer.",
            ))?)?,
            frames: make.counters(
                "authloop_host_frames_total",
                "Video frames handed to the pacer; refinements of a still page are delta frames.",
                "type",
                &FRAME_KINDS,
            )?,
            frame_bytes: make.register(IntCounter::new(
                "authloop_host_frame_bytes_total",
                "Bytes of those frames, before RTP.",
            )?)?,
            input_to_cdp: make.register(HistogramVec::new(
                seconds(
                    "authloop_host_input_to_cdp_seconds",
                    "From an input event's arrival from the viewer to its last command's sending to the browser.",
                ),
                &["input"],
            )?)?,
            input_refused: make.counters(
                "authloop_host_input_refused_total",
                "Input events that were not applied.",
                "reason",
                &REFUSAL_REASONS,
            )?,
            webhooks: make.counters(
                "authloop_host_webhooks_total",
                "Webhook messages, by what became of them; dropped ones found too many waiting.",
                "result",
                &WEBHOOK_RESULTS,
            )?,
            registry: registry.clone(),
        };
        for input in INPUT_KINDS {
            inner.input_to_cdp.with_label_values(&[input]);
        }
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        Ok(Self(Some(Arc::new(inner))))
    }

    /// All of it in Prometheus's text format; empty if nothing is counted.
    ///
    /// # Errors
    /// What the library says of figures that cannot be written.
    pub fn render(&self) -> prometheus::Result<String> {
        match &self.0 {
            Some(inner) => TextEncoder::new().encode_to_string(&inner.registry.gather()),
            None => Ok(String::new()),
        }
    }

    /// `GET /metrics`.
    pub fn routes(&self) -> Router {
        let metrics = self.clone();
        Router::new().route(
            "/metrics",
            get(async move || match metrics.render() {
                Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
                Err(error) => {
                    tracing::error!(%error, "the figures could not be written");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }),
        )
    }

    /// A session that is open until the value is dropped.
    pub fn open_session(&self) -> OpenSession {
        OpenSession(self.0.as_ref().map(|inner| {
            inner.open.inc();
            inner.open.clone()
        }))
    }

    /// A session ended; `outcome` is `resolved`, `cancelled`, `timeout`, `error` or `not_started`.
    pub fn count_end(&self, outcome: &'static str) {
        if let Some(inner) = &self.0 {
            inner.ended.with_label_values(&[outcome]).inc();
        }
    }

    /// A video frame was handed to the pacer; `received` is when its picture came, if no frame before
    /// showed it.
    pub fn count_frame(&self, keyframe: bool, bytes: usize, received: Option<Instant>) {
        let Some(inner) = &self.0 else { return };
        let kind = FRAME_KINDS[usize::from(!keyframe)];
        inner.frames.with_label_values(&[kind]).inc();
        inner.frame_bytes.inc_by(bytes as u64);
        if let Some(received) = received {
            let took = received.elapsed().as_secs_f64();
            inner.capture_to_send.observe(took);
        }
    }

    /// An input event that came at `arrived` has been sent to the browser.
    pub fn time_input(&self, event: &InputEvent, arrived: Instant) {
        if let Some(inner) = &self.0 {
            let input = INPUT_KINDS[usize::from(!event.is_typed())];
            let took = arrived.elapsed().as_secs_f64();
            inner.input_to_cdp.with_label_values(&[input]).observe(took);
        }
    }

    /// An input event was not applied.
    pub fn count_refusal(&self, reason: RefusedReason) {
        if let Some(inner) = &self.0 {
            let reason = match reason {
                RefusedReason::Epoch => "epoch",
                RefusedReason::Locked => "locked",
                RefusedReason::Malformed => "malformed",
                RefusedReason::Unsupported => "unsupported",
            };
            inner.input_refused.with_label_values(&[reason]).inc();
        }
    }

    /// A webhook message's fate; `result` is `delivered`, `given_up` or `dropped`.
    pub fn count_webhook(&self, result: &'static str) {
        if let Some(inner) = &self.0 {
            inner.webhooks.with_label_values(&[result]).inc();
        }
    }
}

fn seconds(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS_SECONDS.to_vec())
}

/// Makes and registers at once.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = self.register(IntCounterVec::new(Opts::new(name, help), &[label])?)?;
        for value in values {
            counters.with_label_values(&[value]);
        }
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn value(metrics: &Metrics, name: &str) -> f64 {
        let text = metrics.render().unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn only_a_new_pictures_first_frame_is_timed() {
        let metrics = Metrics::new().unwrap();

        metrics.count_frame(false, 4, Some(Instant::now()));
        metrics.count_frame(false, 4, None);

        assert_eq!(
            value(&metrics, "authloop_host_capture_to_send_seconds_count"),
            1.0
        );
        assert_eq!(
            value(&metrics, r#"authloop_host_frames_total{type="delta"}"#),
            2.0
        );
        assert_eq!(value(&metrics, "authloop_host_frame_bytes_total"), 8.0);
    }

    #[test]
    fn input_is_timed_by_its_kind() {
        let metrics = Metrics::new().unwrap();
        let typed = InputEvent::Text { text: "a".into() };

        metrics.time_input(&typed, Instant::now() - Duration::from_millis(15));

        let bucket = |le| {
            let name = "authloop_host_input_to_cdp_seconds_bucket";
            value(&metrics, &format!(r#"{name}{{input="typed",le="{le}"}}"#))
        };
        assert_eq!((bucket("0.01"), bucket("1")), (0.0, 1.0));
        let pointer = r#"authloop_host_input_to_cdp_seconds_count{input="pointer"}"#;
        assert_eq!(value(&metrics, pointer), 0.0);
    }

    #[test]
    fn a_session_is_open_until_it_is_dropped() {
        let metrics = Metrics::new().unwrap();
        let session = metrics.open_session();
        assert_eq!(value(&metrics, "authloop_host_sessions_open"), 1.0);
        drop(session);
        assert_eq!(value(&metrics, "authloop_host_sessions_open"), 0.0);
    }

    #[test]
    fn the_default_counts_nothing() {
        let metrics = Metrics::default();
        metrics.count_end("resolved");
        assert_eq!(metrics.render().unwrap(), "");
    }
}
