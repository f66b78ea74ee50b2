//! The gate's listener: the endpoints of Chromium's debugging port.

mod json;

use std::sync::Weak;

use authloop_gate_core::ClientRole;
use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::actor::Seat;
use super::{GateError, GatedBrowser, Shared, hosts};
use authloop_net::LimitedListener;

/// Chromium's own limit on a message to it.
const MAX_MESSAGE: usize = 100 << 20;
/// Agents' connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;

/// Serves until the gate is dropped.
pub(super) fn serve(listener: TcpListener, gate: Weak<Shared>, stop: CancellationToken) {
    let state = Served {
        gate,
        stop: stop.clone(),
    };
    let router = Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move {
        let serving = axum::serve(LimitedListener::new(listener, MAX_CONNECTIONS), router);
        let stopped = serving.with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the gate's listener failed");
        }
    });
}

#[derive(Clone)]
struct Served {
    gate: Weak<Shared>,
    stop: CancellationToken,
}

/// What was asked of which browser.
struct Asked {
    browser: GatedBrowser,
    /// Where the client found the browser: its `Host`, and the token if it came by that.
    base: String,
    /// The rest of the path, without slashes around it.
    path: String,
}

async fn answer(
    State(served): State<Served>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let asked = match find(&served, &request) {
        Ok(asked) => asked,
        Err(refused) => return refused.into_response(),
    };
    let parts: Vec<&str> = asked.path.split('/').collect();
    let method = request.method();
    if let Ok(upgrade) = upgrade {
        let role = match parts.as_slice() {
            ["devtools", "browser", id] if *id == asked.browser.0.id => browser_role(),
            // By the token alone.
            [""] if asked.base.contains('/') => browser_role(),
            ["devtools", "page", page] => ClientRole {
                gated: true,
                page: Some((*page).to_owned()),
            },
            _ => return not_found(),
        };
        return connect(upgrade, &asked.browser, role, served.stop).await;
    }
    match (method, parts.as_slice()) {
        (&Method::GET, ["json", "version"]) => json::version(&asked).await,
        (&Method::GET, ["json"] | ["json", "list"]) => json::list(&asked).await,
        (&Method::GET, ["json", "protocol"]) => json::protocol(&asked).await,
        (&Method::PUT, ["json", "new"]) => json::new(&asked, request.uri().query()).await,
        (_, ["json", "new"]) => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        (&Method::GET | &Method::PUT, ["json", "activate", id]) => {
            json::act(&asked, "Target.activateTarget", id, "Target activated").await
        }
        (&Method::GET | &Method::PUT, ["json", "close", id]) => {
            json::act(&asked, "Target.closeTarget", id, "Target is closing").await
        }
        _ => not_found(),
    }
}

fn find(served: &Served, request: &Request) -> Result<Asked, (StatusCode, &'static str)> {
    let away = (
        StatusCode::SERVICE_UNAVAILABLE,
        "authloop: the gate is ending",
    );
    let gate = served.gate.upgrade().map(super::Gate).ok_or(away)?;
    let host = hosts::admit(request.headers(), &gate.0.config.names)?;
    let path = request.uri().path().trim_matches('/');
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let browser = gate.browser(first);
    let browser = browser.ok_or((StatusCode::NOT_FOUND, "authloop: there is no such browser"))?;
    let by_token = browser.0.token == first;
    Ok(Asked {
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

fn gone(error: &GateError) -> Response {
    (StatusCode::BAD_GATEWAY, error.to_string()).into_response()
}

/// Seats a client, for as long as its socket lives.
pub(super) async fn connect(
    upgrade: WebSocketUpgrade,
    browser: &GatedBrowser,
    role: ClientRole,
    stop: CancellationToken,
) -> Response {
    let seat = match browser.0.mux.join(role).await {
        Ok(seat) => seat,
        Err(error) => return gone(&error),
    };
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| carry(socket, seat, stop))
}

async fn carry(socket: WebSocket, mut seat: Seat, stop: CancellationToken) {
    let (mut sink, mut stream) = socket.split();
    let sender = seat.sender();
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
            message = seat.incoming.recv() => match message {
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
