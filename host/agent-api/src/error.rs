//! What goes wrong, as HTTP tells it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// An error's body.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// A stable name.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// One sentence for people.
    message: String,
    /// More, depending on the code; `null` if there is no more.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{field}: {problem}")]
    Invalid { field: String, problem: String },
    #[error("an API key is needed: Authorization: Bearer KEY")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{field}: {problem}")]
    RoomNotAllowed {
        field: &'static str,
        problem: &'static str,
    },
    #[error("there is no such session")]
    NoSession,
    #[error("this session's storage state was not asked for")]
    NoState,
    #[error("the browser gave no storage state")]
    StateLost,
    #[error("there is no such path")]
    NoPath,
    #[error("this path does not take this method")]
    Method,
    #[error("the session has ended: {0}")]
    Ended(&'static str),
    #[error("the session expired before anyone finished it")]
    Expired,
    #[error("a request with this Idempotency-Key is being answered")]
    InFlight,
    #[error("this Idempotency-Key was used with another body")]
    Mismatch,
    #[error("the session is not resolved, so it has no storage state")]
    NotResolved,
    #[error("the storage state is gone: it may be read once, and is kept for a while only")]
    AlreadyRead,
    #[error("{0}")]
    Browser(String),
    #[error("{0}")]
    Signaling(String),
    #[error("{0}")]
    Room(String),
    #[error("the body is larger than 64 KiB")]
    TooLarge,
    #[error("the body must be application/json")]
    MediaType,
    #[error("too many requests with this key")]
    Rate { wait: u64 },
    #[error("as many sessions are open as this host takes")]
    Sessions,
    #[error("the host failed: {0}")]
    Internal(String),
}

impl ApiError {
    /// The body is not what is asked for.
    pub(super) fn invalid(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Invalid {
            field: field.into(),
            problem: problem.to_string(),
        }
    }

    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::RoomNotAllowed { .. } => (StatusCode::FORBIDDEN, "room_not_allowed"),
            Self::NoSession | Self::NoState | Self::StateLost | Self::NoPath => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Ended(_) => (StatusCode::CONFLICT, "session_ended"),
            Self::Expired => (StatusCode::GONE, "session_expired"),
            Self::InFlight => (StatusCode::CONFLICT, "idempotency_in_flight"),
            Self::Mismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch"),
            Self::NotResolved => (StatusCode::CONFLICT, "not_resolved"),
            Self::AlreadyRead => (StatusCode::GONE, "already_read"),
            Self::Browser(_) => (StatusCode::PRECONDITION_FAILED, "browser_unreachable"),
            Self::Signaling(_) => (StatusCode::BAD_GATEWAY, "signaling_unreachable"),
            Self::Room(_) => (StatusCode::SERVICE_UNAVAILABLE, "room_unavailable"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Rate { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Sessions => (StatusCode::TOO_MANY_REQUESTS, "too_many_sessions"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::Invalid { field, .. } => Some(json!({ "field": field })),
            Self::RoomNotAllowed { field, .. } => Some(json!({ "field": field })),
            Self::Ended(status) => Some(json!({ "status": status })),
            _ => None,
        }
    }

    /// Seconds after which it may go better.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::InFlight => Some(1),
            Self::Rate { wait } => Some((*wait).max(1)),
            Self::Sessions | Self::Room(_) => Some(5),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.parts();
        let body = ErrorBody {
            error: ErrorDetail {
                code,
                message: self.to_string(),
                details: self.details(),
            },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self == Self::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
