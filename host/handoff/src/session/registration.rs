//! The session at the signaling server: registered, attached to by a WebSocket, and ended.

use std::time::Duration;

use authloop_protocol::{
    id::{Blob, SessionId},
    signal::{HostMessage, Outcome, ServerMessage},
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    HandoffConfig, HandoffError,
    session_secrets::SessionSecrets,
    signal::{SignalEvent, SignalingServer},
};

/// How long the last message may take to reach the viewer, who waits for it on screen.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(800);

pub(super) struct Registration {
    server: SignalingServer,
    id: SessionId,
    host_token: Blob,
    messages: mpsc::Sender<HostMessage>,
    events: mpsc::Receiver<SignalEvent>,
}

impl Registration {
    /// Registers the session, claimed already by `device` if the server had forgotten it.
    pub(super) async fn create(
        config: &HandoffConfig,
        secrets: &SessionSecrets,
        device: Option<&[u8; 65]>,
    ) -> Result<Self, HandoffError> {
        let created = secrets.register(config, device).await?;
        let (messages, events) = config.server.attach(secrets.id, created.host_token.clone());
        Ok(Self {
            server: config.server.clone(),
            id: secrets.id,
            host_token: created.host_token,
            messages,
            events,
        })
    }

    pub(super) async fn next(&mut self) -> Option<SignalEvent> {
        self.events.recv().await
    }

    /// Queues a message for the server; a full queue means that it is away, and what matters is
    /// said again when it is back.
    pub(super) fn tell(&self, message: HostMessage) {
        if self.messages.try_send(message).is_err() {
            tracing::debug!("a signaling message was dropped");
        }
    }

    /// Ends the session at the server, and waits until it knows.
    pub(super) async fn end(&mut self, outcome: Outcome) {
        self.tell(HostMessage::End { outcome });
        let goodbye = async {
            while let Some(event) = self.events.recv().await {
                if matches!(
                    event,
                    SignalEvent::Message(ServerMessage::Ended { .. }) | SignalEvent::Closed { .. }
                ) {
                    return;
                }
            }
        };
        if timeout(FAREWELL_TIMEOUT, goodbye).await.is_err() {
            // The socket is not up; the session must not outlive us at the server.
            let deleted = self.server.delete(self.id, &self.host_token).await;
            if let Err(error) = deleted {
                tracing::debug!(%error, "the server could not be told of the end");
            }
        }
    }
}
