//! The MCP server: an agent's model asks for a sign-in by a tool (`docs/MCP.md`).
//!
//! A thin client of the agent API, which may run on another machine: it holds no browser and no session,
//! and its answers hold no secret but the link, and that only for clients that cannot show it themselves.

#![forbid(unsafe_code)]

mod api;
mod elicit;
mod error;
mod progress;
mod report;
mod request;
mod tools;

use std::sync::Arc;

use authloop_net::LimitedListener;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use rmcp::{
    ServiceExt as _,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use api::{AgentApi, AgentApiError};
pub use tools::{CallDefaults, HandoffTools};

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;

/// Why the server ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The client did not speak MCP.
    #[error("the client on standard input does not speak MCP: {0}")]
    Handshake(String),
}

/// Serves one client on standard input and output, until it goes or `cancel`.
///
/// # Errors
/// [`McpError::Handshake`].
pub async fn serve_stdio(tools: HandoffTools, cancel: CancellationToken) -> Result<(), McpError> {
    let started = tools
        .serve_with_ct(rmcp::transport::stdio(), cancel.clone())
        .await;
    match started {
        Ok(running) => {
            // It ends with its input, which is how clients end a server.
            let _reason = running.waiting().await;
            Ok(())
        }
        Err(_) if cancel.is_cancelled() => Ok(()),
        Err(error) => Err(McpError::Handshake(error.to_string())),
    }
}

/// Serves any number of clients at `/mcp` (Streamable HTTP), until `cancel`; with `token`, only those that have it.
pub async fn serve_http(
    tools: HandoffTools,
    listener: TcpListener,
    token: Option<SecretString>,
    cancel: CancellationToken,
) {
    let mut config =
        StreamableHttpServerConfig::default().with_cancellation_token(cancel.child_token());
    if token.is_some() {
        // The token keeps web pages out, under whatever name the server is reached.
        config = config.disable_allowed_hosts();
    }
    let service = StreamableHttpService::new(
        move || Ok(tools.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let router = axum::Router::new()
        .nest_service("/mcp", service)
        .layer(middleware::from_fn_with_state(Arc::new(token), guard));
    let listener = LimitedListener::new(listener, MAX_CONNECTIONS);
    authloop_net::serve_http(listener, router, cancel).await;
}

/// Lets in who has the token, and no web page.
async fn guard(
    State(token): State<Arc<Option<SecretString>>>,
    request: Request,
    next: Next,
) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "agents are no web pages").into_response();
    }
    if let Some(token) = &*token
        && !bears(request.headers(), token)
    {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (
            StatusCode::UNAUTHORIZED,
            challenge,
            "a bearer token is needed",
        )
            .into_response();
    }
    next.run(request).await
}

fn bears(headers: &HeaderMap, token: &SecretString) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| {
            given
                .as_bytes()
                .ct_eq(token.expose_secret().as_bytes())
                .into()
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::AsyncReadExt as _, net::TcpStream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = AgentApi::new("http://127.0.0.1:9", None).unwrap();
        let defaults = CallDefaults {
            cdp_url: None,
            requester: "tests".to_owned(),
            ttl: None,
            patience: Duration::ZERO,
        };
        let tools = HandoffTools::new(api, defaults);
        let stop = CancellationToken::new();
        tokio::spawn(serve_http(tools, listener, None, stop));
        let mut silent = TcpStream::connect(address).await.unwrap();

        let mut byte = [0; 1];
        let read = silent.read(&mut byte);
        let read = tokio::time::timeout(Duration::from_secs(3600), read).await;

        assert!(read.is_ok(), "it stays");
    }
}
