//! What comes by way of the server: the claim, the leg, and the viewer's sealed blobs.

use authloop_gate::GateError;
use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    input::DeclineReason,
    seal::{BlobKind, SealedSignal, blob_kind, open_hello},
    sequence::InputSequence,
    signal::{HostMessage, LegIce, Outcome, ServerMessage},
};

use super::{HandoffSession, Step};
use crate::connection::{Connection, ConnectionError};
use crate::signal::SignalEvent;
use crate::{HandoffEnd, HandoffError, HandoffEvent, HandoffState};

/// Hellos that one session may make; each costs an HPKE opening and a peer connection.
const MAX_HELLOS: usize = 256;

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn on_signal(&mut self, event: Option<SignalEvent>) -> Step {
        match event {
            Some(SignalEvent::Message(message)) => self.on_message(message).await,
            Some(SignalEvent::Disconnected) => Ok(None),
            Some(SignalEvent::Forgotten) => {
                // The server restarted without its memory: the same session again, for the same link.
                let device = self.device;
                let created = self.secrets.register(&self.config, device.as_ref()).await?;
                self.token = created.host_token.clone();
                (self.signal, self.signals) = self
                    .config
                    .server
                    .attach(self.secrets.id, created.host_token);
                Ok(None)
            }
            Some(SignalEvent::Closed { code, message }) => {
                Err(HandoffError::Closed { code, message })
            }
            None => Err(HandoffError::Closed {
                code: "internal".to_owned(),
                message: "the signaling task ended".to_owned(),
            }),
        }
    }

    async fn on_message(&mut self, message: ServerMessage) -> Step {
        match message {
            ServerMessage::Welcome { device, .. } => {
                if let Some(device) = device {
                    self.on_claimed(&device).await?;
                    self.tell_holder(&device);
                }
            }
            ServerMessage::Claimed { device } => self.on_claimed(&device).await?,
            ServerMessage::SecondClaim {} => (self.report)(HandoffEvent::SecondClaim),
            ServerMessage::Ice(ice) => self.on_ice(ice).await,
            ServerMessage::Sealed { data } => return Ok(self.on_sealed(data.0).await),
            ServerMessage::Ended { outcome } => {
                return Ok(Some(match outcome {
                    Outcome::Expired => HandoffEnd::Expired,
                    Outcome::Cancelled | Outcome::Resolved | Outcome::Failed => {
                        HandoffEnd::Cancelled
                    }
                    Outcome::Declined => HandoffEnd::Declined(DeclineReason::Declined),
                }));
            }
            ServerMessage::Peer { .. }
            | ServerMessage::Takeover { .. }
            | ServerMessage::Waiting {}
            | ServerMessage::Challenge { .. }
            | ServerMessage::Error { .. } => {}
        }
        Ok(None)
    }

    /// The first claim counts; a server that later names another device is not believed.
    ///
    /// Agents are shut out before the loop goes on to the viewer's hello.
    async fn on_claimed(&mut self, device: &Blob) -> Result<(), GateError> {
        let parsed = DeviceKey::parse(&device.0).map(|key| *key.as_bytes());
        match (self.device, parsed) {
            (None, Some(device)) => {
                self.device = Some(device);
                self.enter(HandoffState::Claimed);
                if let Some(gate) = &self.config.gate {
                    self.lease = Some(gate.close(&self.secrets.id.to_string()).await?);
                }
                self.stage.serve().await;
            }
            (Some(held), Some(other)) if held == other => {}
            _ => tracing::warn!("signaling names another device than the one that claimed"),
        }
        Ok(())
    }

    async fn on_ice(&mut self, ice: LegIce) {
        if !ice.is_well_formed() {
            tracing::warn!("signaling sent malformed ICE parameters; they are not used");
            return;
        }
        let new = self.ice.as_ref() != Some(&ice);
        self.ice = Some(ice.clone());
        if let Some(blob) = self.waiting_hello.take() {
            self.on_hello(&blob).await;
        } else if new && let Some(connection) = &self.connection {
            match connection.peer.restart(&ice).await {
                Ok(()) => self.send_credentials().await,
                Err(error) => tracing::warn!(%error, "the ICE restart failed"),
            }
        }
    }

    async fn send_credentials(&self) {
        let Some(connection) = &self.connection else {
            return;
        };
        match connection.peer.credentials().await {
            Ok((ufrag, pwd)) => self.tell(HostMessage::IceLocal { ufrag, pwd }),
            Err(error) => tracing::warn!(%error, "no ICE credentials to tell"),
        }
    }

    /// Queues a message for the server; a full queue means that it is away, and what matters is
    /// said again when it is back.
    pub(super) fn tell(&self, message: HostMessage) {
        if self.signal.try_send(message).is_err() {
            tracing::debug!("a signaling message was dropped");
        }
    }

    async fn on_sealed(&mut self, blob: Vec<u8>) -> Option<HandoffEnd> {
        match blob_kind(&blob) {
            Some(BlobKind::Hello) if self.ice.is_some() => {
                self.on_hello(&blob).await;
                None
            }
            Some(BlobKind::Hello) => {
                self.waiting_hello = Some(blob);
                None
            }
            Some(BlobKind::Record(hello)) => self.on_record(hello, &blob).await,
            None => {
                tracing::warn!("a blob of neither kind is refused");
                None
            }
        }
    }

    async fn on_hello(&mut self, blob: &[u8]) {
        let (hello, keys) = match open_hello(&self.secrets.context, &self.secrets.host, blob) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "a hello is refused");
                return;
            }
        };
        if self.device.map(Blob::from).as_ref() != Some(&hello.device) {
            tracing::warn!("a hello of another device than the claimed one is refused");
            return;
        }
        if self.hellos.len() >= MAX_HELLOS || !self.hellos.insert(keys.hello_hash) {
            tracing::warn!("a replayed or excessive hello is refused");
            return;
        }
        let (Some(ice), Some(stream)) = (self.ice.clone(), hello.stream.array::<16>()) else {
            return;
        };
        self.drop_connection().await;
        self.sequence
            .get_or_insert_with(|| InputSequence::new(stream))
            .resume(stream);
        let offered = Connection::offer(
            self.secrets.id,
            &hello,
            keys,
            &self.secrets.certificate,
            &ice,
        )
        .await;
        match offered {
            Ok((connection, events, offer)) => {
                self.connection = Some(connection);
                self.peer_events = Some(events);
                self.enter(HandoffState::Connecting);
                self.tell(HostMessage::Sealed { data: Blob(offer) });
                self.send_credentials().await;
            }
            Err(error) => tracing::warn!(%error, "the hello could not be answered"),
        }
    }

    async fn on_record(&mut self, hello: [u8; 8], blob: &[u8]) -> Option<HandoffEnd> {
        let connection = self.connection.as_mut()?;
        if connection.hello() != hello {
            tracing::debug!("a record of another hello is passed over");
            return None;
        }
        match connection.open(blob) {
            Ok(SealedSignal::Answer { sdp }) => {
                let ice = self.ice.clone()?;
                match connection.accept(sdp, &ice).await {
                    Ok(codec) => {
                        if let Err(error) = self.stage.start(codec) {
                            tracing::error!(%error, "no video");
                        }
                    }
                    Err(error) => self.give_up(&error).await,
                }
                None
            }
            Ok(SealedSignal::Decline { reason }) => Some(HandoffEnd::Declined(reason)),
            Ok(other) => {
                tracing::warn!(?other, "the viewer may not say this");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a record is refused");
                None
            }
        }
    }

    /// The connection is not what was agreed: nothing more of it is taken, and the viewer is told.
    pub(super) async fn give_up(&mut self, error: &ConnectionError) {
        tracing::warn!(%error, "the connection is refused");
        if let Some(connection) = &mut self.connection {
            let refuse = SealedSignal::Refuse {
                code: "refused".to_owned(),
                message: error.to_string(),
            };
            if let Ok(blob) = connection.seal(&refuse) {
                self.tell(HostMessage::Sealed { data: Blob(blob) });
            }
        }
        self.drop_connection().await;
    }

    pub(super) async fn drop_connection(&mut self) {
        self.stage.pause().await;
        self.peer_events = None;
        if let Some(connection) = self.connection.take() {
            // Closing waits for the library's driver; the next connection must not.
            tokio::spawn(async move { connection.peer.close().await });
        }
    }
}
