//! Answers operators and orchestrators: `/livez`, `/readyz`, `/metrics`, `/audit/head`.

use std::sync::Arc;

use authloop_signaling::{Scope, Signaling};
use axum::{
    Json, Router,
    extract::State,
    http::{
        Extensions, HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{audit::AuditLog, metrics::Metrics, shard::RelayHandle};

/// What the answers are made from.
#[derive(Clone)]
pub struct AdminState {
    /// The sessions.
    pub signaling: Signaling,
    /// The relay.
    pub relay: RelayHandle,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The audit log, if there is one.
    pub audit: Option<AuditLog>,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}

/// The routes.
pub fn router(admin: AdminState) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/audit/head", get(audit_head))
        .with_state(admin)
}

async fn livez() -> impl IntoResponse {
    plain(StatusCode::OK, "alive\n".to_owned())
}

/// Ready means: taking new sessions, with a relay that answers, an audit log that is written, and among
/// several servers, a Redis that takes this one's beats.
async fn readyz(State(admin): State<AdminState>) -> impl IntoResponse {
    if admin.signaling.is_draining() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "going down\n".to_owned());
    }
    if admin.audit.is_some_and(|log| log.stats().failing) {
        let text = "the audit log cannot be written\n".to_owned();
        return plain(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    if admin.signaling.cluster().is_some_and(|stats| stats.lapsed) {
        let text = "Redis has taken no beat for longer than this server's lease\n".to_owned();
        return plain(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    match admin.relay.stats().await {
        Ok(_) => plain(StatusCode::OK, "ready\n".to_owned()),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("relay: {error}\n")),
    }
}

/// Asks for an API key as soon as one has the scope `metrics:read`.
async fn metrics(
    State(admin): State<AdminState>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    if admin.signaling.guards(Scope::ReadMetrics)
        && let Err(refusal) = admin
            .signaling
            .admit(&extensions, &headers, Scope::ReadMetrics)
    {
        return *refusal;
    }
    let relay = admin.relay.stats().await.ok();
    let counts = admin.signaling.registry().counts();
    let cluster = admin.signaling.cluster();
    let audit = admin.audit.as_ref().map(AuditLog::stats);
    match admin.metrics.render(counts, relay.as_ref(), cluster, audit) {
        Ok(text) => plain(StatusCode::OK, text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The last line's number and hash, for whoever keeps them where the server cannot change them.
async fn audit_head(
    State(admin): State<AdminState>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let admitted = admin
        .signaling
        .admit(&extensions, &headers, Scope::ReadAudit);
    if let Err(refusal) = admitted {
        return *refusal;
    }
    let Some(log) = admin.audit else {
        let text = "there is no audit log\n".to_owned();
        return plain(StatusCode::NOT_FOUND, text).into_response();
    };
    let chain = log.chain();
    let head = serde_json::json!({ "seq": chain.next - 1, "head": chain.head.to_string() });
    let headers = [(CACHE_CONTROL, "no-store")];
    (headers, Json(head)).into_response()
}

fn plain(status: StatusCode, text: String) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text)
}
