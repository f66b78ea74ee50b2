//! Registering a session: who asks, and what for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    invitation::Invitation,
    signal::{CreateSession, SessionCreated, WallType},
};
use axum::{
    body::Bytes,
    extract::{FromRequestParts, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
};
use tokio::time::Instant;

use super::errors::{bad_request, draining, too_large};
use crate::{
    api_keys::{Caller, Scope},
    clock::unix_millis,
    error::{ApiError, ApiErrorKind},
    secret::random,
    service::Signaling,
    session::Registration,
};

/// The client that asks to register a session, and whether it may.
///
/// Extracting it takes one from the client's rates, and never fails: a refused registration is
/// audited under the name of the key that came with it.
pub(super) struct RegistrationCaller {
    caller: Option<Caller>,
    admission: Result<(), ApiError>,
}

impl FromRequestParts<Signaling> for RegistrationCaller {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        signaling: &Signaling,
    ) -> Result<Self, Infallible> {
        let mut caller = None;
        let admission = pace(signaling, parts).and_then(|()| {
            if signaling.settings().api_keys.is_none() {
                return Ok(());
            }
            match signaling.authorize(&parts.headers, Scope::CreateSessions) {
                Ok(admitted) => {
                    caller = Some(admitted);
                    Ok(())
                }
                Err(denied) => {
                    caller = denied.caller().cloned();
                    Err(ApiError::from(&denied))
                }
            }
        });
        Ok(Self { caller, admission })
    }
}

impl RegistrationCaller {
    /// The name of the key it came with, if that has one.
    pub(super) fn key_name(&self) -> Option<String> {
        let name = self.caller.as_ref()?.name.as_ref()?;
        Some(name.to_string())
    }

    pub(super) fn admission(&self) -> Result<(), ApiError> {
        self.admission.clone()
    }
}

fn pace(signaling: &Signaling, parts: &Parts) -> Result<(), ApiError> {
    let client = signaling.client(&parts.extensions, &parts.headers);
    signaling.limits().create(client).map_err(|retry_after| {
        ApiError::new(
            ApiErrorKind::RateLimited { retry_after },
            "too many sessions were registered from this address; try again later",
        )
    })?;
    if signaling.is_draining() {
        return Err(draining());
    }
    Ok(())
}

/// A session that was registered.
pub(super) struct RegisteredSession {
    pub(super) id: SessionId,
    /// Whether it came back claimed.
    pub(super) claimed: bool,
    pub(super) wall_type: Option<WallType>,
    pub(super) body: SessionCreated,
}

/// Registers the session that the body describes.
pub(super) async fn register(
    signaling: &Signaling,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<RegisteredSession, ApiError> {
    let request = parse_create(headers, body)?;
    let unix_now = unix_millis() / 1000;
    let host_token: [u8; 32] = random().map_err(|_| {
        ApiError::new(
            ApiErrorKind::Unavailable,
            "the operating system gave no random bytes",
        )
    })?;
    let registration = validate(
        request,
        unix_now,
        signaling.settings().registry.max_lifetime,
        SecretHash::of(&host_token),
    )?;
    let registered = RegisteredSession {
        id: registration.id,
        claimed: registration.device.is_some(),
        wall_type: registration.wall_type,
        body: SessionCreated {
            host_token: Blob::from(host_token),
            expires_at: registration.expires_at,
        },
    };
    signaling
        .directory()
        .register(registration, unix_now)
        .await?;
    Ok(registered)
}

fn parse_create(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<CreateSession, ApiError> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("application/json")
        });
    if !is_json {
        return Err(bad_request("the body must be application/json"));
    }
    let body = body.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            too_large()
        } else {
            bad_request("the body did not arrive whole")
        }
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| bad_request(format!("the body is not a session: {error}")))
}

/// Turns a request into a session that can be registered.
fn validate(
    request: CreateSession,
    unix_now: u64,
    max_lifetime: Duration,
    host_token: SecretHash,
) -> Result<Registration, ApiError> {
    let invitation =
        Invitation::parse(&request.invitation.0).map_err(|error| bad_request(error.to_string()))?;
    if invitation.id != request.id {
        return Err(bad_request("`id` is not the invitation's id"));
    }
    let life = Duration::from_secs(invitation.expires.saturating_sub(unix_now)).min(max_lifetime);
    if life.is_zero() {
        return Err(bad_request("the invitation has already expired"));
    }
    let claim_hash = request
        .claim_hash
        .array()
        .map(SecretHash::from_bytes)
        .ok_or_else(|| bad_request("`claim_hash` must be 32 bytes"))?;
    let device = request
        .device
        .map(|device| {
            DeviceKey::parse(&device.0)
                .ok_or_else(|| bad_request("`device` must be a P-256 point of 65 bytes"))
        })
        .transpose()?;
    Ok(Registration {
        id: request.id,
        invitation: Arc::from(request.invitation.0),
        claim_hash,
        host_token,
        device,
        expires_at: unix_now + life.as_secs(),
        deadline: Instant::now() + life,
        epoch: 0,
        created_unix_ms: unix_millis(),
        wall_type: request.wall_type,
    })
}
