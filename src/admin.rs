//! What operators and orchestrators ask: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use authloop_signaling::Signaling;
use axum::{
    Router,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};

use crate::{metrics::Metrics, shard::RelayHandle};

/// What the answers are made of.
#[derive(Clone)]
pub struct Admin {
    /// The sessions.
    pub signaling: Signaling,
    /// The relay.
    pub relay: RelayHandle,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// The three routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn livez() -> impl IntoResponse {
    plain(StatusCode::OK, "alive\n".to_owned())
}

/// Ready means: taking new sessions, with a relay that answers.
async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.signaling.is_draining() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "going down\n".to_owned());
    }
    match admin.relay.stats().await {
        Ok(_) => plain(StatusCode::OK, "ready\n".to_owned()),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("relay: {error}\n")),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let relay = admin.relay.stats().await.ok();
    let counts = admin.signaling.registry().counts();
    let cluster = admin.signaling.cluster();
    match admin.metrics.render(counts, relay.as_ref(), cluster) {
        Ok(text) => plain(StatusCode::OK, text),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            plain(StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    }
}

fn plain(status: StatusCode, text: String) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text)
}
