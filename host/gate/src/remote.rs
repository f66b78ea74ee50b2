//! A gate in another process, by its control socket.

use std::{path::PathBuf, time::Duration};

use authloop_cdp::{Browser, Transport};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::UnixStream, sync::oneshot, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{
    GateError,
    ending::{Ending, OPEN_ANEW_REQUEST, OPEN_REQUEST},
};

/// How long the control socket may take to answer at all.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Closing waits for new documents, opening for pages to be cleared.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A full-page screenshot fits; an endless message does not.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

type ControlWebSocket = WebSocketStream<UnixStream>;
/// How the handoff has ended, and who waits for the gate to be open.
type OpenRequest = (Ending, oneshot::Sender<Result<(), GateError>>);

/// A gated browser as another process has it; cheap to clone.
#[derive(Clone, Debug)]
pub struct RemoteGate {
    path: PathBuf,
}

impl RemoteGate {
    /// `path` is where `launch --control-socket` listens.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The browser itself, past the gate.
    pub async fn browser(&self) -> Result<Browser, GateError> {
        let socket = self.dial("ws://gate/browser").await?;
        Ok(Browser::from_transport(Transport::socket(socket)).await?)
    }

    /// As [`GatedBrowser::close`](super::GatedBrowser::close).
    pub async fn close(&self, handoff: &str) -> Result<RemoteLease, GateError> {
        let mut socket = self.dial(&format!("ws://gate/hold?{handoff}")).await?;
        self.expect_state(&mut socket, "closed").await?;
        let (open, open_request) = oneshot::channel();
        tokio::spawn(hold_lease(self.clone(), socket, open_request));
        Ok(RemoteLease { open })
    }

    async fn dial(&self, url: &str) -> Result<ControlWebSocket, GateError> {
        let dialing = async {
            let stream = UnixStream::connect(&self.path)
                .await
                .map_err(|error| self.failed(error.to_string()))?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE_BYTES))
                .max_frame_size(Some(MAX_MESSAGE_BYTES));
            let upgrading = client_async_with_config(url, stream, Some(config));
            upgrading
                .await
                .map_err(|error| self.failed(error.to_string()))
        };
        let (socket, _) = timeout(OPEN_TIMEOUT, dialing)
            .await
            .map_err(|_| self.failed("no answer in time".to_owned()))??;
        Ok(socket)
    }

    /// Waits for the gate to say that it has come to `state`.
    async fn expect_state(
        &self,
        socket: &mut ControlWebSocket,
        state: &str,
    ) -> Result<(), GateError> {
        let reply = async {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    return serde_json::from_str::<Value>(&text).unwrap_or_default();
                }
            }
            Value::Null
        };
        let reply = timeout(CHANGE_TIMEOUT, reply).await;
        let reply = reply.map_err(|_| self.failed(format!("it is not {state} in time")))?;
        match reply["error"].as_str() {
            _ if reply["state"] == state => Ok(()),
            _ if reply["taken"] == true => Err(GateError::AlreadyClosed),
            Some(error) => Err(self.failed(error.to_owned())),
            None => Err(self.failed("it ended".to_owned())),
        }
    }

    fn failed(&self, reason: String) -> GateError {
        GateError::Remote {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Of a gate in another process, which opens when this process is gone.
#[derive(Debug)]
#[must_use = "the gate opens as soon as this is dropped"]
pub struct RemoteLease {
    open: oneshot::Sender<OpenRequest>,
}

impl RemoteLease {
    pub(super) async fn open(self, ending: Ending) -> Result<(), GateError> {
        let (reply, answer) = oneshot::channel();
        // A socket that broke is as good as an opening: the gate sees to it.
        if self.open.send((ending, reply)).is_err() {
            return Err(GateError::BrowserGone);
        }
        answer.await.unwrap_or(Err(GateError::BrowserGone))
    }
}

/// Answers the gate's pings until the holder is done, or dropped.
async fn hold_lease(
    gate: RemoteGate,
    mut socket: ControlWebSocket,
    mut open_request: oneshot::Receiver<OpenRequest>,
) {
    let (ending, reply) = loop {
        tokio::select! {
            request = &mut open_request => match request {
                Ok(request) => break request,
                // Closing the socket is what tells the gate.
                Err(_) => return,
            },
            message = socket.next() => match message {
                Some(Ok(message)) if !message.is_close() => {}
                _ => return,
            },
        }
    };
    let request = match ending {
        Ending::ByUser => OPEN_REQUEST,
        Ending::Otherwise => OPEN_ANEW_REQUEST,
    };
    let opened = match socket.send(Message::text(request)).await {
        Ok(()) => gate.expect_state(&mut socket, "open").await,
        Err(error) => Err(gate.failed(error.to_string())),
    };
    let _nobody_waits = reply.send(opened);
}
