//! The sessions API (`docs/PROTOCOL.md` section 4).

mod errors;
mod registration;
mod sockets;

use authloop_bearer::bearer_token;
use authloop_protocol::{
    id::{Blob, SessionId, from_b64u},
    signal::{SessionCreated, SessionStatus},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::{
        Extensions, HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ORIGIN, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tower_http::{limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

use crate::{
    api_keys::Scope,
    audit::AuditEvent,
    error::{ApiError, ApiErrorKind, RefusalCode},
    observer::SignalingEvent,
    registry::{CancelError, CancelRight},
    secret::take_hash,
    service::Signaling,
};
use errors::{MAX_BODY_BYTES, too_large, unknown};
use registration::{RegistrationCaller, register};
use sockets::{host_socket, viewer_socket};

pub(crate) fn router(signaling: Signaling) -> Router {
    let rest = Router::new()
        .route("/v1/sessions", post(create))
        .route("/v1/sessions/{id}", get(status).delete(cancel))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            signaling.settings().request_timeout,
        ));
    let sockets = Router::new()
        .route("/v1/sessions/{id}/host", get(host_socket))
        .route("/v1/sessions/{id}/viewer", get(viewer_socket));
    rest.merge(sockets)
        .method_not_allowed_fallback(async || {
            ApiError::new(
                ApiErrorKind::MethodNotAllowed,
                "this address does not take that method",
            )
        })
        .layer(middleware::from_fn_with_state(signaling.clone(), finish))
        .with_state(signaling)
}

async fn create(
    State(signaling): State<Signaling>,
    caller: RegistrationCaller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<SessionCreated>), ApiError> {
    let registered = match caller.admission() {
        Ok(()) => register(&signaling, &headers, body).await,
        Err(refusal) => Err(refusal),
    };
    let key = caller.key_name();
    match registered {
        Ok(session) => {
            tracing::info!(session = %session.id, "session registered");
            signaling.audit(AuditEvent::SessionRegistered {
                session: session.id,
                key,
                expires_at: session.body.expires_at,
                claimed: session.claimed,
                wall_type: session.wall_type,
            });
            Ok((StatusCode::CREATED, Json(session.body)))
        }
        Err(refusal) => {
            let code = refusal.code();
            signaling.audit(AuditEvent::RegistrationRefused { key, code });
            Err(refusal)
        }
    }
}

async fn status(
    State(signaling): State<Signaling>,
    Path(id): Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Json<SessionStatus>, ApiError> {
    signaling.pace_lookup(&extensions, &headers)?;
    let id = SessionId::parse(&id).ok_or_else(unknown)?;
    let status = signaling.directory().status(id).await?;
    status.map(Json).ok_or_else(unknown)
}

async fn cancel(
    State(signaling): State<Signaling>,
    Path(id): Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    signaling.pace(&extensions, &headers)?;
    let id = SessionId::parse(&id).ok_or_else(unknown)?;
    let keys = signaling.settings().api_keys.as_ref();
    let right = if keys.is_some_and(|keys| keys.knows(&headers)) {
        let caller = signaling.authorize(&headers, Scope::EndSessions);
        CancelRight::Key(caller.map_err(|denied| ApiError::from(&denied))?)
    } else {
        let token = bearer_token(&headers).and_then(from_b64u);
        CancelRight::Host(take_hash(Blob(token.ok_or(CancelError::Unauthorized)?)))
    };
    let cancelled = signaling.directory().cancel(id, &right).await;
    if let (Ok(()), CancelRight::Key(caller)) = (&cancelled, right) {
        let key = caller.name.map(|name| name.to_string());
        let asked = AuditEvent::EndRequested { session: id, key };
        signaling.audit(asked);
    }
    cancelled?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts refusals and adds what every answer of the API carries. Pages on the list may read it.
async fn finish(State(signaling): State<Signaling>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE
        && response.extensions().get::<RefusalCode>().is_none()
    {
        response = too_large().into_response();
    }
    if let Some(RefusalCode(code)) = response.extensions().get() {
        signaling.observe(SignalingEvent::HttpRejected(code));
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(VARY, HeaderValue::from_static("origin"));
    let listed = origin.filter(|origin| {
        let allowed = &signaling.settings().viewer_origins;
        allowed.iter().any(|allowed| origin == allowed.as_str())
    });
    if let Some(origin) = listed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
