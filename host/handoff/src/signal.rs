//! The host's side of signaling: registers sessions and keeps the WebSocket
//! (`docs/PROTOCOL.md` sections 4 and 5).

mod socket;

use std::{sync::Arc, time::Duration};

use authloop_net::tls_config;
use authloop_protocol::{
    id::{Blob, SessionId},
    signal::{CreateSession, ErrorBody, HostMessage, ServerMessage, SessionCreated},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use url::Url;

/// The server must answer a request within this time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages that may wait either way.
const MAX_QUEUED_MESSAGES: usize = 64;

/// Why signaling cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The server's address is not one.
    #[error("the server's address {0:?} is not an http:// or https:// URL")]
    BadUrl(String),
    /// The server cannot be reached.
    #[error("the server at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        url: Url,
        /// What the network said.
        reason: String,
    },
    /// The server refused.
    #[error("the server refused ({status} {code}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error's stable name.
        code: String,
        /// One sentence.
        message: String,
    },
    /// The answer is not what an authloop server says.
    #[error("what answers at {0} is not an authloop server")]
    NotAuthloop(Url),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

/// What the server, or the way to it, brings.
#[derive(Debug)]
pub enum SignalEvent {
    /// A message.
    Message(ServerMessage),
    /// The WebSocket is lost; it is being opened again.
    Disconnected,
    /// The server does not know the session any more: it restarted.
    Forgotten,
    /// The server refused for good.
    Closed {
        /// The error's stable name.
        code: String,
        /// One sentence.
        message: String,
    },
}

/// A signaling server.
#[derive(Clone)]
pub struct SignalingServer {
    url: Url,
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    api_key: Option<SecretString>,
}

impl std::fmt::Debug for SignalingServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalingServer").finish_non_exhaustive()
    }
}

impl SignalingServer {
    /// For a server at `url`; `ca_pem` adds certificates to trust, in PEM.
    ///
    /// # Errors
    /// [`SignalError::BadUrl`], [`SignalError::Tls`].
    pub fn new(
        url: &str,
        api_key: Option<SecretString>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, SignalError> {
        let bad = || SignalError::BadUrl(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(bad());
        }
        let tls = tls_config(ca_pem).map_err(|error| SignalError::Tls(error.to_string()))?;
        let tls = Arc::new(tls);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| SignalError::Tls(error.to_string()))?;
        Ok(Self {
            url: parsed,
            http,
            tls,
            api_key,
        })
    }

    /// The origin that the link's keys are bound to, unless the public one differs (RFC 6454).
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Registers a session.
    ///
    /// # Errors
    /// [`SignalError`].
    pub async fn create(&self, session: &CreateSession) -> Result<SessionCreated, SignalError> {
        let mut request = self.http.post(self.endpoint("v1/sessions")).json(session);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| SignalError::NotAuthloop(self.url.clone()));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(SignalError::Refused {
                status: status.as_u16(),
                code: body.error.code,
                message: body.error.message,
            }),
            Err(_) => Err(SignalError::NotAuthloop(self.url.clone())),
        }
    }

    /// Ends a session by REST, for when the WebSocket is not up.
    ///
    /// # Errors
    /// [`SignalError::Unreachable`]; a session the server does not know is no error.
    pub async fn delete(&self, id: SessionId, host_token: &Blob) -> Result<(), SignalError> {
        let url = self.endpoint(&format!("v1/sessions/{id}"));
        let token = authloop_protocol::id::to_b64u(&host_token.0);
        let sent = self.http.delete(url).bearer_auth(token).send().await;
        sent.map(drop).map_err(|error| self.unreachable(&error))
    }

    /// Keeps a WebSocket as the session's host, and opens it again with back-off when it is lost,
    /// until the receiver is dropped.
    pub fn attach(
        &self,
        id: SessionId,
        host_token: Blob,
    ) -> (mpsc::Sender<HostMessage>, mpsc::Receiver<SignalEvent>) {
        let (outgoing, outbox) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let (events, incoming) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let mut url = self.endpoint(&format!("v1/sessions/{id}/host"));
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Both are special schemes, so the change cannot fail.
        let _ = url.set_scheme(scheme);
        let socket = socket::HostSocket::new(url, Arc::clone(&self.tls), host_token);
        tokio::spawn(socket.run(outbox, events));
        (outgoing, incoming)
    }

    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    fn unreachable(&self, error: &reqwest::Error) -> SignalError {
        // reqwest's own text repeats the URL; the cause is what helps.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        SignalError::Unreachable {
            url: self.url.clone(),
            reason: cause.to_string(),
        }
    }
}
