//! Traces, as a collector gets them.

use std::sync::{Arc, Mutex};

use authloop_protocol::id::to_b64u;
use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;

use crate::support::{Server, authloop, refusal};

/// An OTLP receiver that keeps what comes.
async fn collector() -> (String, Arc<Mutex<Vec<Bytes>>>) {
    let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let kept = bodies.clone();
    let routes = Router::new().route(
        "/v1/traces",
        post(async move |body: Bytes| kept.lock().unwrap().push(body)),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (url, bodies)
}

fn spans(bodies: &[Bytes]) -> Vec<Span> {
    let requests = bodies
        .iter()
        .map(|body| ExportTraceServiceRequest::decode(body.as_ref()).unwrap());
    requests
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|pair| pair.key == key)?;
    found.value.clone()?.value
}

#[tokio::test]
async fn a_collector_gets_requests_and_sockets_without_a_secret() {
    let (url, bodies) = collector().await;
    let server = Server::start(&["--otlp-endpoint", &url]).await;
    let (session, host, viewer) = server.handoff().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let probe = server.http.get(format!("{}/livez?secret=1", server.url));
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    probe.header("traceparent", parent).send().await.unwrap();
    drop((host, viewer));

    let (code, log) = server.end().await;

    assert_eq!(code, 0, "{log}");
    // Lines are as they are without traces.
    assert!(
        log.contains("INFO authloop_signaling::api: session registered session="),
        "{log}"
    );
    let bodies = bodies.lock().unwrap().clone();
    let spans = spans(&bodies);
    let named = |name: &str| {
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {names:?}"))
    };
    let create = named("POST /v1/sessions");
    let status = attribute(create, "http.response.status_code");
    assert_eq!(status, Some(Value::IntValue(201)));
    let told: Vec<_> = create.events.iter().map(|event| &event.name).collect();
    assert_eq!(told, ["session registered"]);
    assert_eq!(hex::encode(&named("GET /livez").trace_id), trace);
    let upgrade = named("GET /v1/sessions/{id}/viewer");
    let sockets = spans.iter().filter(|span| span.name == "websocket");
    let viewer = sockets
        .filter(|span| span.parent_span_id == upgrade.span_id)
        .collect::<Vec<_>>();
    assert_eq!(viewer.len(), 1, "the socket's span is the upgrade's child");
    for secret in [&session.token[..], &session.host_token] {
        for form in [to_b64u(secret).into_bytes(), secret.to_vec()] {
            let found = bodies
                .iter()
                .any(|body| body.windows(form.len()).any(|w| w == form));
            assert!(!found, "a secret left the server");
        }
    }
    assert!(
        !bodies
            .iter()
            .any(|body| body.windows(8).any(|w| w == b"secret=1"))
    );
}

#[tokio::test]
async fn a_collector_that_is_away_stops_nothing() {
    let server = Server::start(&["--otlp-endpoint", "http://127.0.0.1:1"]).await;
    server.handoff().await;

    let (code, log) = server.end().await;

    assert_eq!(code, 0, "{log}");
    assert!(log.contains("ERROR opentelemetry_sdk: "), "{log}");
}

#[tokio::test]
async fn a_collectors_address_is_checked_before_anything_listens() {
    let mut command = authloop(&["serve", "--otlp-endpoint", "collector:4318"]);
    let (code, sentence) = refusal(&mut command).await;
    assert_eq!(code, 2);
    assert!(sentence.contains("otlp_endpoint"), "{sentence}");
}
