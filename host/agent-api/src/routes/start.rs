//! `POST /session`.

use std::sync::Arc;

use authloop_agent_api_types::{CreateSession, SessionCreated};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use zeroize::Zeroizing;

use super::body::JsonBytes;
use crate::{
    app::App,
    error::{ApiError, ErrorBody},
    idempotency::{IdempotentRequest, StoredAnswer},
    keys::Owner,
    session_request::SessionRequest,
};

/// Hands a browser over
///
/// Answers once there is a link for the user.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "createSession",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same request made twice makes one session")),
    request_body = CreateSession,
    responses(
        (status = 201, description = "The session has begun", body = SessionCreated),
        (status = 400, description = "The body is not what is asked for", body = ErrorBody),
        (status = 401, description = "No API key", body = ErrorBody),
        (status = 403, description = "Another machine's name, a web page, or a room that the operator does not allow", body = ErrorBody),
        (status = 409, description = "The same request is being answered", body = ErrorBody),
        (status = 412, description = "The browser is not reachable", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 422, description = "The idempotency key was used with another body", body = ErrorBody),
        (status = 429, description = "Too many requests or sessions", body = ErrorBody),
        (status = 500, description = "The host failed", body = ErrorBody),
        (status = 502, description = "The authloop server is not reachable", body = ErrorBody),
        (status = 503, description = "There is no private room", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(owner): Extension<Owner>,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let request = SessionRequest::parse(&body, &app.webhooks, app.rooms)?;
    let Some(key) = headers.get("idempotency-key") else {
        let created = app.sessions.create(owner, request).await?;
        return Ok(answer(&encode(&created)?, false));
    };
    let claim = match app
        .idempotency
        .begin(owner, key.to_str().unwrap_or_default(), &body)?
    {
        IdempotentRequest::Answered(body) => return Ok(answer(&body, true)),
        IdempotentRequest::Fresh(claim) => claim,
    };
    // A caller that goes away comes back with its key: the work must not stop with it.
    let creating = tokio::spawn(async move {
        let created = app.sessions.create(owner, request).await?;
        let body = encode(&created)?;
        claim.store(Arc::clone(&body));
        Ok::<_, ApiError>(body)
    });
    let body = creating
        .await
        .map_err(|_| ApiError::Internal("the request was interrupted".to_owned()))??;
    Ok(answer(&body, false))
}

fn encode(created: &SessionCreated) -> Result<StoredAnswer, ApiError> {
    serde_json::to_vec(created)
        .map(|body| Arc::new(Zeroizing::new(body)))
        .map_err(|error| ApiError::Internal(error.to_string()))
}

fn answer(body: &StoredAnswer, replayed: bool) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let body = Body::from(body.as_slice().to_vec());
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    if replayed {
        let yes = axum::http::HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", yes);
    }
    response
}
