//! Traces by OTLP over HTTP (OpenTelemetry Protocol 1.x), if an operator asks for them.
//!
//! A span is a request or a WebSocket; what is logged meanwhile, from INFO on, is its events. Names
//! and attributes are OpenTelemetry's semantic conventions. No header, query, body or address is in
//! them, and of paths only the route.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Instrument as _, Level, Metadata, Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Time that sending the last spans may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Time that one export may take, from the connection to the answer.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
const SERVICE_NAME: &str = "authloop";

/// Sends traces to a collector.
pub(crate) struct TraceExporter(SdkTracerProvider);

impl TraceExporter {
    /// Starts the thread that sends them to `endpoint`, an OTLP receiver's address without
    /// `/v1/traces`. What cannot be sent is dropped, and a warning is logged.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn start(endpoint: &str) -> anyhow::Result<Self> {
        // For `https://`: the library takes the process's provider. Another that is set will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("traces cannot be sent")?;
        let resource = Resource::builder().with_service_name(SERVICE_NAME).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(provider))
    }

    /// The layer that turns spans and their log lines into traces.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE_NAME))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_traced))
    }

    /// Sends what is left.
    pub(crate) async fn shut_down(self) {
        let sent =
            tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// Whether a span or line becomes part of a trace: below INFO, addresses may be named.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && crate::logging::own::is_own(metadata)
}

/// Makes each request a span; one with a `traceparent` (W3C Trace Context) goes on a trace of the
/// client's.
pub(crate) fn trace(router: Router) -> Router {
    router.layer(middleware::from_fn(in_span))
}

async fn in_span(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str);
    let method = request.method().as_str();
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    // An error means that tracing is off.
    let _ = span.set_parent(parent(request.headers()));
    let response = next.run(request).instrument(span.clone()).await;
    record(&span, &response);
    response
}

fn record(span: &Span, response: &Response) {
    let status = response.status();
    // The conventions want a number, and an unsigned one would be sent as text.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

fn parent(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&HeaderExtractor(headers))
}

struct HeaderExtractor<'a>(&'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use opentelemetry::trace::TraceContextExt as _;

    use super::*;

    #[test]
    fn a_clients_trace_goes_on_and_a_broken_one_does_not() {
        let parent_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_static(value));
            let context = parent(&headers);
            let span = context.span().span_context().clone();
            span.is_valid().then(|| span.trace_id().to_string())
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parent_of(good).as_deref(), Some(trace));
        assert_eq!(parent_of("00-nobody-00f067aa0ba902b7-01"), None);
    }
}
