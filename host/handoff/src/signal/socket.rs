//! One session's WebSocket, opened again for as long as someone listens.

use std::{sync::Arc, time::Duration};

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, MAX_MESSAGE_BYTES, ServerMessage, SignalErrorCode},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use url::Url;

use super::SignalEvent;

type Stream = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The server pings every 20 s; silence for longer than two of them is a dead path.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

pub(super) struct HostSocket {
    url: Url,
    tls: Arc<rustls::ClientConfig>,
    host_token: Blob,
}

/// Why one connection ended.
enum ConnectionEnd {
    /// The network or the server went away; try again.
    Lost,
    /// Nobody listens any more.
    Unwanted,
    /// The server said why, and would again.
    Final { code: String, message: String },
    /// The server does not know the session.
    Forgotten,
}

impl HostSocket {
    pub(super) fn new(url: Url, tls: Arc<rustls::ClientConfig>, host_token: Blob) -> Self {
        Self {
            url,
            tls,
            host_token,
        }
    }

    pub(super) async fn run(
        self,
        mut outbox: mpsc::Receiver<HostMessage>,
        events: mpsc::Sender<SignalEvent>,
    ) {
        let mut backoff = MIN_BACKOFF;
        loop {
            let mut welcomed = false;
            let end = self.connection(&mut outbox, &events, &mut welcomed).await;
            let last = match end {
                ConnectionEnd::Unwanted => return,
                ConnectionEnd::Lost => None,
                ConnectionEnd::Final { code, message } => {
                    Some(SignalEvent::Closed { code, message })
                }
                ConnectionEnd::Forgotten => Some(SignalEvent::Forgotten),
            };
            if let Some(last) = last {
                let _ = events.send(last).await;
                return;
            }
            if welcomed {
                backoff = MIN_BACKOFF;
                if events.send(SignalEvent::Disconnected).await.is_err() {
                    return;
                }
            }
            let jitter = Duration::from_millis(rand::random_range(0..100));
            tokio::time::sleep(backoff + jitter).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
            if events.is_closed() {
                return;
            }
        }
    }

    async fn connection(
        &self,
        outbox: &mut mpsc::Receiver<HostMessage>,
        events: &mpsc::Sender<SignalEvent>,
        welcomed: &mut bool,
    ) -> ConnectionEnd {
        let mut stream = match self.open().await {
            Ok(stream) => stream,
            Err(tungstenite::Error::Http(response)) if response.status() == 404 => {
                return ConnectionEnd::Forgotten;
            }
            Err(error) => {
                tracing::debug!(%error, "signaling cannot be reached");
                return ConnectionEnd::Lost;
            }
        };
        let attach = HostMessage::Attach {
            host_token: self.host_token.clone(),
        };
        if send(&mut stream, &attach).await.is_err() {
            return ConnectionEnd::Lost;
        }
        loop {
            tokio::select! {
                // Nothing leaves before the server has accepted us: it would be read as the first frame.
                message = outbox.recv(), if *welcomed => {
                    let Some(message) = message else {
                        let _ = stream.close(None).await;
                        return ConnectionEnd::Unwanted;
                    };
                    if send(&mut stream, &message).await.is_err() {
                        return ConnectionEnd::Lost;
                    }
                }
                received = timeout(SILENCE_TIMEOUT, stream.next()) => {
                    let message = match received {
                        Ok(Some(Ok(message))) => message,
                        Ok(Some(Err(_)) | None) | Err(_) => return ConnectionEnd::Lost,
                    };
                    if let Some(end) = receive(message, events, welcomed).await {
                        return end;
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<Stream, tungstenite::Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let connector = match self.url.scheme() {
            "wss" => Connector::Rustls(Arc::clone(&self.tls)),
            _ => Connector::Plain,
        };
        let opening =
            connect_async_tls_with_config(self.url.as_str(), Some(config), true, Some(connector));
        match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => opened.map(|(stream, _)| stream),
            Err(_) => Err(tungstenite::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

async fn send(stream: &mut Stream, message: &HostMessage) -> Result<(), tungstenite::Error> {
    match serde_json::to_string(message) {
        Ok(json) => stream.send(Message::text(json)).await,
        Err(_) => Ok(()),
    }
}

async fn receive(
    message: Message,
    events: &mpsc::Sender<SignalEvent>,
    welcomed: &mut bool,
) -> Option<ConnectionEnd> {
    let text = match message {
        Message::Text(text) => text,
        Message::Close(frame) => {
            let code = frame.map_or(0, |frame| u16::from(frame.code));
            return Some(if code == SignalErrorCode::NotFound.close_code() {
                ConnectionEnd::Forgotten
            } else {
                ConnectionEnd::Lost
            });
        }
        _ => return None,
    };
    let Ok(message) = serde_json::from_str::<ServerMessage>(&text) else {
        // A newer server may say more; what this host does not know it does not need.
        tracing::debug!("an unknown signaling message was passed over");
        return None;
    };
    match message {
        ServerMessage::Error { code, message } => Some(match code {
            SignalErrorCode::NotFound => ConnectionEnd::Forgotten,
            SignalErrorCode::Timeout | SignalErrorCode::Internal | SignalErrorCode::RateLimited => {
                ConnectionEnd::Lost
            }
            _ => ConnectionEnd::Final {
                code: serde_json::to_value(code)
                    .ok()
                    .and_then(|value| value.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                message,
            },
        }),
        ServerMessage::Challenge { .. } => None,
        message => {
            *welcomed |= matches!(message, ServerMessage::Welcome { .. });
            match events.send(SignalEvent::Message(message)).await {
                Ok(()) => None,
                Err(_) => Some(ConnectionEnd::Unwanted),
            }
        }
    }
}
