//! Reads a JSON body within its bounds.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::header,
};

use crate::error::ApiError;

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A body that says it is JSON, unparsed.
pub(super) struct JsonBytes(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::MediaType);
        }
        let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
        body.map(Self).map_err(|_| ApiError::TooLarge)
    }
}
