//! HTTP errors: `{"error":{"code","message","details"}}`.

use std::time::Duration;

use authloop_protocol::signal::{ErrorBody, ErrorDetail};
use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use crate::api_keys::{KeyRefusal, Scope};

/// A refusal, with a sentence for the client's developer.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    kind: ApiErrorKind,
    message: String,
    details: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiErrorKind {
    BadRequest,
    Unauthorized,
    /// The token is not valid, or no longer.
    InvalidToken,
    InsufficientScope(Scope),
    NotFound,
    Conflict,
    Gone,
    TooLarge,
    RateLimited {
        retry_after: Duration,
    },
    Unavailable,
    MethodNotAllowed,
    /// The request is for a host that is not this server.
    Misdirected,
}

/// The code of a refusal, left in the response to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusalCode(pub(crate) &'static str);

impl ApiErrorKind {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            // RFC 9110 section 15.5.20.
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::BadRequest | Self::MethodNotAllowed => "bad_request",
            Self::Unauthorized | Self::InvalidToken => "unauthorized",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Misdirected => "misdirected",
        }
    }

    /// RFC 6750 section 3: a client that sent no token is told no error.
    fn challenge(self) -> Option<String> {
        const SCHEME: &str = r#"Bearer realm="authloop""#;
        match self {
            Self::Unauthorized => Some(SCHEME.to_owned()),
            Self::InvalidToken => Some(format!(r#"{SCHEME}, error="invalid_token""#)),
            Self::InsufficientScope(scope) => Some(format!(
                r#"{SCHEME}, error="insufficient_scope", scope="{scope}""#
            )),
            _ => None,
        }
    }
}

impl ApiError {
    pub(crate) fn new(kind: ApiErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Map::new(),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.kind.code()
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

impl From<&KeyRefusal> for ApiError {
    fn from(denied: &KeyRefusal) -> Self {
        match denied {
            KeyRefusal::Missing => Self::new(
                ApiErrorKind::Unauthorized,
                "this needs `Authorization: Bearer <API key>` with a key this server knows",
            ),
            KeyRefusal::Unknown => Self::new(
                ApiErrorKind::InvalidToken,
                "this server does not know this API key",
            ),
            KeyRefusal::Expired(_) => {
                Self::new(ApiErrorKind::InvalidToken, "this API key has expired")
            }
            KeyRefusal::Scope(_, scope) => Self::new(
                ApiErrorKind::InsufficientScope(*scope),
                format!("this API key lacks the scope `{scope}`"),
            )
            .with("scope", scope.as_str()),
            KeyRefusal::Rate(_, retry_after) => Self::new(
                ApiErrorKind::RateLimited {
                    retry_after: *retry_after,
                },
                "this API key was used too often; try again later",
            ),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.kind.code();
        let body = ErrorBody {
            error: ErrorDetail {
                code: code.to_owned(),
                message: self.message,
                details: self.details,
            },
        };
        let mut response = (self.kind.status(), Json(body)).into_response();
        response.extensions_mut().insert(RefusalCode(code));
        let challenge = self.kind.challenge();
        if let Some(value) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        if let ApiErrorKind::RateLimited { retry_after } = self.kind {
            let seconds = retry_after.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds}")) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        response
    }
}
