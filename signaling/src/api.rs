//! The sessions API (`docs/PROTOCOL.md` section 4).

use std::{sync::Arc, time::Duration};

use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    invitation::{Invitation, MAX_INVITATION_BYTES},
    signal::{CreateSession, SessionCreated, SessionStatus, WallType},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, State, WebSocketUpgrade, rejection::BytesRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{
        Extensions, HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
            HOST, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::time::Instant;
use tower_http::{limit::RequestBodyLimitLayer, timeout::TimeoutLayer};
use tracing::Instrument as _;

use crate::{
    Signaling,
    api_keys::{Caller, Scope, bearer},
    audit::AuditEvent,
    clock::unix_millis,
    cluster::ClusterUnavailable,
    error::{ApiError, Kind, RefusalCode},
    observer::Event,
    registry::{CancelError, CancelRight, RegisterError},
    relay::Side,
    secret::{SecretHash, random, take_hash},
    session::Registration,
    socket,
};

/// An invitation in base64url, and room for the rest of the body.
const MAX_BODY: usize = MAX_INVITATION_BYTES * 4 / 3 + 1024;

pub(crate) fn router(signaling: Signaling) -> Router {
    let rest = Router::new()
        .route("/v1/sessions", post(create))
        .route("/v1/sessions/{id}", get(status).delete(cancel))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            signaling.inner.settings.request,
        ));
    let sockets = Router::new()
        .route("/v1/sessions/{id}/host", get(host_socket))
        .route("/v1/sessions/{id}/viewer", get(viewer_socket));
    rest.merge(sockets)
        .method_not_allowed_fallback(async || {
            ApiError::new(Kind::Method, "this address does not take that method")
        })
        .layer(middleware::from_fn_with_state(signaling.clone(), finish))
        .with_state(signaling)
}

async fn create(
    State(signaling): State<Signaling>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<SessionCreated>), ApiError> {
    let mut caller = None;
    let created = try_to_create(&signaling, &extensions, &headers, body, &mut caller).await;
    let key = caller.and_then(|caller| caller.name);
    let key = key.map(|name| name.to_string());
    signaling.inner.observer.audit(match &created {
        Ok(created) => AuditEvent::SessionRegistered {
            session: created.id,
            key,
            expires_at: created.body.expires_at,
            claimed: created.claimed,
            wall_type: created.wall_type,
        },
        Err(error) => AuditEvent::RegistrationRefused {
            key,
            code: error.code(),
        },
    });
    created.map(|created| (StatusCode::CREATED, Json(created.body)))
}

struct Created {
    id: SessionId,
    claimed: bool,
    wall_type: Option<WallType>,
    body: SessionCreated,
}

/// Registers a session, and says who asked as soon as that is known.
async fn try_to_create(
    signaling: &Signaling,
    extensions: &Extensions,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    caller: &mut Option<Caller>,
) -> Result<Created, ApiError> {
    let settings = &signaling.inner.settings;
    let client = signaling.client(extensions, headers);
    signaling
        .inner
        .limits
        .create(client)
        .map_err(|retry_after| {
            ApiError::new(
                Kind::RateLimited { retry_after },
                "too many sessions were registered from this address; try again later",
            )
        })?;
    if signaling.is_draining() {
        return Err(draining());
    }
    if settings.api_keys.is_some() {
        match signaling.authorize(headers, Scope::CreateSessions) {
            Ok(admitted) => *caller = Some(admitted),
            Err(denied) => {
                *caller = denied.caller().cloned();
                return Err(ApiError::from(&denied));
            }
        }
    }
    let request = parse_create(headers, body)?;
    let unix_now = unix_millis() / 1000;
    let host_token: [u8; 32] = random().map_err(|_| {
        ApiError::new(
            Kind::Unavailable,
            "the operating system gave no random bytes",
        )
    })?;
    let registration = validate(
        request,
        unix_now,
        settings.registry.max_life,
        SecretHash::of(&host_token),
    )?;
    let (id, expires_at) = (registration.id, registration.expires_at);
    let (claimed, wall_type) = (registration.device.is_some(), registration.wall_type);
    signaling
        .directory()
        .register(registration, unix_now)
        .await?;
    tracing::info!(session = %id, "session registered");
    Ok(Created {
        id,
        claimed,
        wall_type,
        body: SessionCreated {
            host_token: Blob::from(host_token),
            expires_at,
        },
    })
}

async fn status(
    State(signaling): State<Signaling>,
    Path(id): Path<String>,
) -> Result<Json<SessionStatus>, ApiError> {
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
    let keys = signaling.inner.settings.api_keys.as_ref();
    let right = if keys.is_some_and(|keys| keys.knows(&headers)) {
        let caller = signaling.authorize(&headers, Scope::EndSessions);
        CancelRight::Key(caller.map_err(|denied| ApiError::from(&denied))?)
    } else {
        let token = bearer(&headers).and_then(authloop_protocol::id::from_b64u);
        CancelRight::Host(take_hash(Blob(token.ok_or(CancelError::Unauthorized)?)))
    };
    let cancelled = signaling.directory().cancel(id, &right).await;
    if let (Ok(()), CancelRight::Key(caller)) = (&cancelled, right) {
        let key = caller.name.map(|name| name.to_string());
        let asked = AuditEvent::EndRequested { session: id, key };
        signaling.inner.observer.audit(asked);
    }
    cancelled?;
    Ok(StatusCode::NO_CONTENT)
}

async fn host_socket(
    state: State<Signaling>,
    id: Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if headers.contains_key(ORIGIN) {
        return Err(ApiError::new(
            Kind::Unauthorized,
            "a host is not a web page: it must send no Origin",
        ));
    }
    upgrade_socket(Side::Host, state, id, &extensions, &headers, upgrade)
}

async fn viewer_socket(
    state: State<Signaling>,
    id: Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if let Some(origin) = headers.get(ORIGIN)
        && !state.is_viewer_origin(origin, headers.get(HOST))
    {
        return Err(ApiError::new(
            Kind::Unauthorized,
            "pages of this origin may not act as viewers of this server",
        ));
    }
    upgrade_socket(Side::Viewer, state, id, &extensions, &headers, upgrade)
}

/// Browsers cannot see why an upgrade failed, so all that concerns the session is said on the
/// socket.
fn upgrade_socket(
    side: Side,
    State(signaling): State<Signaling>,
    Path(id): Path<String>,
    extensions: &Extensions,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade
        .map_err(|_| ApiError::new(Kind::BadRequest, "this address speaks WebSocket (RFC 6455)"))?;
    if signaling.is_draining() {
        return Err(draining());
    }
    let place = signaling
        .inner
        .socket_places
        .clone()
        .try_acquire_owned()
        .map_err(|_| {
            ApiError::new(
                Kind::Unavailable,
                "this server holds as many WebSockets as it may; try again later",
            )
        })?;
    let client = signaling.client(extensions, headers);
    let id = SessionId::parse(&id);
    let tracker = signaling.inner.sockets.clone();
    let span = tracing::info_span!("websocket", side = side.as_str());
    Ok(socket::configure(upgrade).on_upgrade(move |web_socket| {
        let served = async move {
            socket::serve(&signaling, side, id, client, web_socket).await;
            drop(place);
        };
        tracker.track_future(served.instrument(span))
    }))
}

impl Signaling {
    /// Same origin (by the name the client used, or by the public one), or on the list.
    fn is_viewer_origin(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let settings = &self.inner.settings;
        let Some(origin) = origin.to_str().ok() else {
            return false;
        };
        let same = host
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| {
                let scheme = if settings.public_origin.is_secure() {
                    "https"
                } else {
                    "http"
                };
                origin == format!("{scheme}://{host}")
            });
        same || origin == settings.public_origin.as_str()
            || settings
                .viewer_origins
                .iter()
                .any(|allowed| origin == allowed.as_str())
    }
}

/// Counts refusals and adds what every answer of the API carries. Pages on the list may read it.
async fn finish(
    State(signaling): State<Signaling>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE
        && response.extensions().get::<RefusalCode>().is_none()
    {
        response = too_large().into_response();
    }
    if let Some(RefusalCode(code)) = response.extensions().get() {
        signaling.inner.observer.observe(Event::HttpRejected(code));
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
        let allowed = &signaling.inner.settings.viewer_origins;
        allowed.iter().any(|allowed| origin == allowed.as_str())
    });
    if let Some(origin) = listed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
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
    max_life: Duration,
    host_token: SecretHash,
) -> Result<Registration, ApiError> {
    let invitation =
        Invitation::parse(&request.invitation.0).map_err(|error| bad_request(error.to_string()))?;
    if invitation.id != request.id {
        return Err(bad_request("`id` is not the invitation's id"));
    }
    let life = Duration::from_secs(invitation.expires.saturating_sub(unix_now)).min(max_life);
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
        born: unix_millis(),
        wall_type: request.wall_type,
    })
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        let kind = match error {
            RegisterError::Known => Kind::Conflict,
            RegisterError::Full | RegisterError::ClusterUnavailable => Kind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        let message = error.to_string();
        match error {
            CancelError::Unknown => Self::new(Kind::NotFound, message),
            CancelError::Unauthorized => Self::new(Kind::Unauthorized, message),
            CancelError::Ended(outcome) => {
                Self::new(Kind::Gone, message).with("outcome", outcome.as_str())
            }
            CancelError::ClusterUnavailable => Self::new(Kind::Unavailable, message),
        }
    }
}

impl From<ClusterUnavailable> for ApiError {
    fn from(error: ClusterUnavailable) -> Self {
        Self::new(Kind::Unavailable, error.to_string())
    }
}

fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(Kind::BadRequest, message)
}

fn too_large() -> ApiError {
    ApiError::new(Kind::TooLarge, "the body is larger than a session may be")
        .with("limit", MAX_BODY)
}

fn unknown() -> ApiError {
    ApiError::new(Kind::NotFound, "there is no such session")
}

fn draining() -> ApiError {
    ApiError::new(Kind::Unavailable, "this server is going down; try again")
}
