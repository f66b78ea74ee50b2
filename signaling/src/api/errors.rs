//! The refusals of the sessions API.

use authloop_protocol::invitation::MAX_INVITATION_BYTES;

use crate::{
    cluster::ClusterUnavailable,
    error::{ApiError, ApiErrorKind},
    registry::{CancelError, RegisterError},
};

/// The largest body: an invitation in base64url, and room for the rest.
pub(super) const MAX_BODY_BYTES: usize = MAX_INVITATION_BYTES * 4 / 3 + 1024;

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        let kind = match error {
            RegisterError::Known => ApiErrorKind::Conflict,
            RegisterError::Full | RegisterError::ClusterUnavailable => ApiErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        let message = error.to_string();
        match error {
            CancelError::Unknown => Self::new(ApiErrorKind::NotFound, message),
            CancelError::Unauthorized => Self::new(ApiErrorKind::Unauthorized, message),
            CancelError::Ended(outcome) => {
                Self::new(ApiErrorKind::Gone, message).with("outcome", outcome.as_str())
            }
            CancelError::ClusterUnavailable => Self::new(ApiErrorKind::Unavailable, message),
        }
    }
}

impl From<ClusterUnavailable> for ApiError {
    fn from(error: ClusterUnavailable) -> Self {
        Self::new(ApiErrorKind::Unavailable, error.to_string())
    }
}

pub(super) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(ApiErrorKind::BadRequest, message)
}

pub(super) fn too_large() -> ApiError {
    ApiError::new(
        ApiErrorKind::TooLarge,
        "the body is larger than a session may be",
    )
    .with("limit", MAX_BODY_BYTES)
}

pub(super) fn unknown() -> ApiError {
    ApiError::new(ApiErrorKind::NotFound, "there is no such session")
}

pub(super) fn draining() -> ApiError {
    ApiError::new(
        ApiErrorKind::Unavailable,
        "this server is going down; try again",
    )
}
