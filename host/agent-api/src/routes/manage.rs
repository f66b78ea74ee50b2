//! A session after it has begun, and what is not about sessions.

#![expect(unused_qualifications, reason = "of the macro's making")]

use std::{sync::Arc, time::Duration};

use authloop_agent_api_types::{Health, SealedState, SessionList, SessionView};
use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::JsonBytes;
use crate::{
    app::App,
    audit::AuditEvent,
    error::{ApiError, ErrorBody},
    keys::Owner,
};

/// The longest long poll, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;

/// How to wait for news.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Seconds to wait for a change.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
    /// The version that the caller knows; a newer one is answered at once.
    #[param(minimum = 0)]
    since: Option<u64>,
}

/// Tells where a session stands
///
/// With `wait`, at the next change or after that time.
#[utoipa::path(
    get,
    path = "/session/{id}",
    operation_id = "getSession",
    params(("id" = String, Path, description = "The session"), Wait),
    responses(
        (status = 200, description = "The session", body = SessionView),
        (status = 304, description = "Nothing newer than `If-None-Match`"),
        (status = 400, description = "The query is not what is asked for", body = ErrorBody),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 404, description = "No such session", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
    query: Result<Query<Wait>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(wait) = query.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    let seconds = wait.wait.unwrap_or(0);
    if seconds > MAX_WAIT_SECONDS {
        return Err(ApiError::invalid("wait", "must be from 0 to 60 seconds"));
    }
    let handle = app.sessions.get(owner, &id)?;
    let held = version(&headers);
    let view = handle
        .next(wait.since.or(held), Duration::from_secs(seconds))
        .await;
    let tag = [(header::ETAG, format!("\"{}\"", view.version))];
    if held == Some(view.version) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, Json(view)).into_response())
}

/// The version of `If-None-Match`.
fn version(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    let tag = tag.trim().trim_start_matches("W/");
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Withdraws a session
#[utoipa::path(
    delete,
    path = "/session/{id}",
    operation_id = "cancelSession",
    params(("id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "It is CANCELLED", body = SessionView),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 404, description = "No such session", body = ErrorBody),
        (status = 409, description = "It had ended", body = ErrorBody),
        (status = 410, description = "It had expired", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    let handle = app.sessions.get(owner, &id)?;
    app.sessions.cancel(&handle).await.map(Json)
}

/// Ends a session as done, by the agent's own word
#[utoipa::path(
    post,
    path = "/session/{id}/resolve",
    operation_id = "resolveSession",
    params(("id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "It is RESOLVED", body = SessionView),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 404, description = "No such session", body = ErrorBody),
        (status = 409, description = "It had ended", body = ErrorBody),
        (status = 410, description = "It had expired", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn resolve(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    let handle = app.sessions.get(owner, &id)?;
    app.sessions.resolve(&handle).await.map(Json)
}

/// Lists this key's sessions
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "listSessions",
    responses(
        (status = 200, description = "Newest first", body = SessionList),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
) -> Json<SessionList> {
    Json(SessionList {
        sessions: app.sessions.list(owner),
    })
}

/// Gives the signed-in state away, once, sealed to the agent's key
#[utoipa::path(
    get,
    path = "/session/{id}/storage-state",
    operation_id = "readStorageState",
    params(("id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "The sealed state", body = SealedState),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 404, description = "No such session, or its state was not asked for", body = ErrorBody),
        (status = 409, description = "It is not RESOLVED", body = ErrorBody),
        (status = 410, description = "It was read before, or kept too long", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn storage_state(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Json<SealedState>, ApiError> {
    app.sessions.get(owner, &id)?.take_state().map(Json)
}

/// Takes a client's report
#[utoipa::path(
    post,
    path = "/audit",
    operation_id = "audit",
    request_body = AuditEvent,
    responses(
        (status = 202, description = "It is written down"),
        (status = 400, description = "The body is not what is asked for", body = ErrorBody),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 500, description = "It cannot be written", body = ErrorBody),
    )
)]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    Extension(_): Extension<Owner>,
    JsonBytes(body): JsonBytes,
) -> Result<StatusCode, ApiError> {
    let event: AuditEvent = crate::session_request::parse(&body)?;
    event.check()?;
    let log = app.audit.clone();
    let written = tokio::task::spawn_blocking(move || log.write(&event)).await;
    match written {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(error)) => {
            tracing::error!(%error, "the audit log cannot be written");
            Err(ApiError::Internal(
                "the audit log cannot be written".to_owned(),
            ))
        }
        Err(_) => Err(ApiError::Internal("the audit log is closed".to_owned())),
    }
}

/// Says that the host runs
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    security(()),
    responses((status = 200, description = "It runs", body = Health))
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}
