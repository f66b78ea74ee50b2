//! The gate's listener: the endpoints of Chromium's debugging port, and the host's own under `control/`.

mod json;

use std::sync::Weak;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::actor::Seat;
use super::core::Role;
use super::{GateError, GatedBrowser, Shared, hosts};

/// Chromium's own limit on a message to it.
const MAX_MESSAGE: usize = 100 << 20;

/// Serves until the gate is dropped.
pub(super) fn serve(listener: TcpListener, gate: Weak<Shared>, stop: CancellationToken) {
    let state = Served {
        gate,
        stop: stop.clone(),
    };
    let router = Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move {
        let serving = axum::serve(listener, router);
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
            ["devtools", "browser", id] if *id == asked.browser.0.id => browser_role(true),
            // By the token alone.
            [""] if asked.base.contains('/') => browser_role(true),
            ["devtools", "page", page] => Role {
                gated: true,
                page: Some((*page).to_owned()),
            },
            ["control", "browser"] if controls(&asked.browser, request.headers()) => {
                browser_role(false)
            }
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
        (&Method::POST, ["control", what @ ("close" | "open")]) => {
            if !controls(&asked.browser, request.headers()) {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            let handoff = request.uri().query().unwrap_or_default().to_owned();
            let browser = asked.browser.clone();
            let closing = *what == "close";
            // Carried through even if the caller goes away: half a closing is none.
            let change = tokio::spawn(async move {
                match closing {
                    true => browser.close(&handoff).await,
                    false => browser.open().await,
                }
            });
            match change.await {
                Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
                Ok(Err(error @ GateError::Taken)) => {
                    (StatusCode::CONFLICT, error.to_string()).into_response()
                }
                Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
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

fn browser_role(gated: bool) -> Role {
    Role { gated, page: None }
}

/// RFC 6750 section 2.1.
fn controls(browser: &GatedBrowser, headers: &HeaderMap) -> bool {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| browser.proves_control(token))
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "authloop: there is nothing here").into_response()
}

fn gone(error: &GateError) -> Response {
    (StatusCode::BAD_GATEWAY, error.to_string()).into_response()
}

async fn connect(
    upgrade: WebSocketUpgrade,
    browser: &GatedBrowser,
    role: Role,
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
