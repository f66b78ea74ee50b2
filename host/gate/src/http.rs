//! The gate's listener: the endpoints of Chromium's debugging port.

mod json;

use std::sync::Weak;

use authloop_gate_core::ClientRole;
use authloop_net::{LimitedListener, serve_http};
use axum::{
    Router,
    extract::{
        Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{GateError, GateShared, GatedBrowser, actor::ClientConnection, hosts};

/// Chromium's own limit on a message to it.
const MAX_MESSAGE_BYTES: usize = 100 << 20;
/// Agents' connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;

/// Serves until the gate is dropped.
pub(super) fn serve(listener: TcpListener, gate: Weak<GateShared>, stop: CancellationToken) {
    let state = HttpState {
        gate,
        stop: stop.clone(),
    };
    let router = Router::new().fallback(handle).with_state(state);
    let listener = LimitedListener::new(listener, MAX_CONNECTIONS);
    tokio::spawn(serve_http(listener, router, stop));
}

#[derive(Clone)]
struct HttpState {
    gate: Weak<GateShared>,
    stop: CancellationToken,
}

/// What a request is for: a browser, and a path at it.
struct RequestTarget {
    browser: GatedBrowser,
    /// Where the client found the browser: its `Host`, and the token if it came by that.
    base: String,
    /// The rest of the path, without slashes around it.
    path: String,
}

async fn handle(
    State(state): State<HttpState>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let target = match resolve(&state, &request) {
        Ok(target) => target,
        Err(refused) => return refused.into_response(),
    };
    let parts: Vec<&str> = target.path.split('/').collect();
    let method = request.method();
    if let Ok(upgrade) = upgrade {
        let role = match parts.as_slice() {
            ["devtools", "browser", id] if *id == target.browser.0.id => browser_role(),
            // By the token alone.
            [""] if target.base.contains('/') => browser_role(),
            ["devtools", "page", page] => ClientRole {
                gated: true,
                page: Some((*page).to_owned()),
            },
            _ => return not_found(),
        };
        return connect_client(upgrade, &target.browser, role, state.stop).await;
    }
    match (method, parts.as_slice()) {
        (&Method::GET, ["json", "version"]) => json::version(&target).await,
        (&Method::GET, ["json"] | ["json", "list"]) => json::list(&target).await,
        (&Method::GET, ["json", "protocol"]) => json::protocol(&target).await,
        (&Method::PUT, ["json", "new"]) => json::new(&target, request.uri().query()).await,
        (_, ["json", "new"]) => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        (&Method::GET | &Method::PUT, ["json", "activate", id]) => {
            json::call_on_target(&target, "Target.activateTarget", id, "Target activated").await
        }
        (&Method::GET | &Method::PUT, ["json", "close", id]) => {
            json::call_on_target(&target, "Target.closeTarget", id, "Target is closing").await
        }
        _ => not_found(),
    }
}

fn resolve(
    state: &HttpState,
    request: &Request,
) -> Result<RequestTarget, (StatusCode, &'static str)> {
    let away = (
        StatusCode::SERVICE_UNAVAILABLE,
        "authloop: the gate is ending",
    );
    let gate = state.gate.upgrade().map(super::Gate).ok_or(away)?;
    let host = hosts::admit(request.headers(), &gate.0.config.allowed_hosts)?;
    let path = request.uri().path().trim_matches('/');
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let browser = gate.browser_at(first);
    let browser = browser.ok_or((StatusCode::NOT_FOUND, "authloop: there is no such browser"))?;
    let by_token = browser.0.token == first;
    Ok(RequestTarget {
        base: if by_token {
            format!("{host}/{first}")
        } else {
            host
        },
        path: if by_token { rest } else { path }.to_owned(),
        browser,
    })
}

fn browser_role() -> ClientRole {
    ClientRole {
        gated: true,
        page: None,
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "authloop: there is nothing here").into_response()
}

fn bad_gateway(error: &GateError) -> Response {
    (StatusCode::BAD_GATEWAY, error.to_string()).into_response()
}

/// Connects a client for as long as its socket lives.
pub(super) async fn connect_client(
    upgrade: WebSocketUpgrade,
    browser: &GatedBrowser,
    role: ClientRole,
    stop: CancellationToken,
) -> Response {
    let connection = match browser.0.handle.join(role).await {
        Ok(connection) => connection,
        Err(error) => return bad_gateway(&error),
    };
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| pump_messages(socket, connection, stop))
}

async fn pump_messages(
    socket: WebSocket,
    mut connection: ClientConnection,
    stop: CancellationToken,
) {
    let (mut sink, mut stream) = socket.split();
    let sender = connection.sender();
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if !sender.send(text.as_str().to_owned()).await {
                        break;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            message = connection.incoming.recv() => match message {
                Some(Ok(text)) => if sink.send(Message::text(text)).await.is_err() {
                    break;
                },
                Some(Err(_)) | None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    let _closing = sink.close().await;
}
