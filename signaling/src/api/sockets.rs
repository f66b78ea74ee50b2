//! The upgrades to a session's two WebSockets.

use authloop_protocol::id::SessionId;
use axum::{
    extract::{Path, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{
        Extensions, HeaderMap, HeaderValue,
        header::{HOST, ORIGIN},
    },
    response::Response,
};
use tracing::Instrument as _;

use super::errors::draining;
use crate::{
    error::{ApiError, ApiErrorKind},
    relay::Side,
    service::Signaling,
    settings::Settings,
    socket,
};

pub(super) async fn host_socket(
    state: State<Signaling>,
    id: Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if headers.contains_key(ORIGIN) {
        return Err(ApiError::new(
            ApiErrorKind::Unauthorized,
            "a host is not a web page: it must send no Origin",
        ));
    }
    upgrade_socket(Side::Host, state, id, &extensions, &headers, upgrade)
}

pub(super) async fn viewer_socket(
    state: State<Signaling>,
    id: Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if let Some(origin) = headers.get(ORIGIN)
        && !is_viewer_origin(state.settings(), origin, headers.get(HOST))
    {
        return Err(ApiError::new(
            ApiErrorKind::Unauthorized,
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
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            ApiErrorKind::BadRequest,
            "this address speaks WebSocket (RFC 6455)",
        )
    })?;
    if signaling.is_draining() {
        return Err(draining());
    }
    signaling.pace_lookup(extensions, headers)?;
    let permit = signaling.reserve_socket().ok_or_else(|| {
        ApiError::new(
            ApiErrorKind::Unavailable,
            "this server holds as many WebSockets as it may; try again later",
        )
    })?;
    let client = signaling.client(extensions, headers);
    let id = SessionId::parse(&id);
    let tracker = signaling.socket_tasks().clone();
    let span = tracing::info_span!("websocket", side = side.as_str());
    Ok(socket::configure(upgrade).on_upgrade(move |web_socket| {
        let served = async move {
            socket::serve(&signaling, side, id, client, web_socket).await;
            drop(permit);
        };
        tracker.track_future(served.instrument(span))
    }))
}

/// Same origin (by the name the client used, or by the public one), or on the list.
fn is_viewer_origin(settings: &Settings, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
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
