//! What comes by way of the server: the claim, the leg, and the viewer's sealed blobs.

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, LegIce, Outcome, ServerMessage},
};

use super::{
    HandoffSession, Step,
    claim::ClaimReport,
    peer_link::{LegChange, SealedBlob},
    registration::Registration,
};
use crate::{
    HandoffEnd, HandoffError, HandoffEvent, HandoffState, connection::ConnectionError,
    signal::SignalEvent,
};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn on_signal(&mut self, event: Option<SignalEvent>) -> Step {
        match event {
            Some(SignalEvent::Message(message)) => self.on_message(message).await,
            Some(SignalEvent::Disconnected) => Ok(None),
            Some(SignalEvent::Forgotten) => {
                // The server restarted without its memory: the same session again, for the same link.
                let device = self.claim.device();
                self.registration =
                    Registration::create(&self.config, &self.secrets, device).await?;
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
                    self.correct_device(&device);
                }
            }
            ServerMessage::Claimed { device } => {
                self.on_claimed(&device).await?;
                self.correct_device(&device);
            }
            ServerMessage::SecondClaim {} => self.progress.tell(HandoffEvent::SecondClaim),
            ServerMessage::Ice(ice) => self.on_ice(ice).await,
            ServerMessage::Sealed { data } => return Ok(self.on_sealed(data.0).await),
            ServerMessage::Ended { outcome } => {
                return Ok(Some(end_by_server(outcome)));
            }
            ServerMessage::Peer { .. }
            | ServerMessage::Takeover { .. }
            | ServerMessage::TakeoverOpened { .. }
            | ServerMessage::TakeoverNonce { .. }
            | ServerMessage::Waiting {}
            | ServerMessage::Challenge { .. }
            | ServerMessage::Error { .. } => {}
        }
        Ok(None)
    }

    /// Agents are shut out, or a room is there, before the loop goes on to the viewer's hello.
    async fn on_claimed(&mut self, device: &Blob) -> Result<(), HandoffError> {
        match self.claim.handle(device) {
            ClaimReport::First => {
                self.enter(HandoffState::Claimed);
                if self.place.is_private() {
                    self.open_room().await?;
                } else {
                    self.gate.close(self.secrets.id).await?;
                    self.verifier.watch();
                }
                if let Some(stage) = &self.stage {
                    stage.begin_user_control().await;
                }
            }
            ClaimReport::Same => {}
            ClaimReport::Unexpected => {
                tracing::warn!("signaling names another device than the one that claimed");
            }
        }
        Ok(())
    }

    /// The server may have missed that the session has another device now, or have lost who claimed it.
    fn correct_device(&self, theirs: &Blob) {
        if let Some(ours) = self.claim.device_blob()
            && ours != *theirs
        {
            self.registration
                .tell(HostMessage::HandOver { device: ours });
        }
    }

    async fn on_ice(&mut self, ice: LegIce) {
        if !ice.is_well_formed() {
            tracing::warn!("signaling sent malformed ICE parameters; they are not used");
            return;
        }
        match self.link.set_leg(ice).await {
            LegChange::Nothing => {}
            LegChange::Hello(blob) => self.on_hello(&blob).await,
            LegChange::Restarted => self.tell_credentials().await,
        }
    }

    async fn on_sealed(&mut self, blob: Vec<u8>) -> Option<HandoffEnd> {
        match self.link.open_blob(blob).await {
            SealedBlob::Nothing => {}
            SealedBlob::Hello(blob) => self.on_hello(&blob).await,
            SealedBlob::Answered(codec) => {
                self.codec = Some(codec);
                self.start_video();
            }
            SealedBlob::Declined(reason) => return Some(HandoffEnd::Declined(reason)),
            SealedBlob::Refused(error) => self.refuse_connection(&error).await,
        }
        None
    }

    async fn on_hello(&mut self, blob: &[u8]) {
        let claimant = self.claim.device_blob();
        let opened = self.link.open_hello(blob, &self.secrets, claimant.as_ref());
        let Some(opened) = opened else { return };
        self.drop_connection().await;
        if let Some(offer) = self.link.connect(opened, &self.secrets).await {
            self.enter(HandoffState::Connecting);
            self.registration
                .tell(HostMessage::Sealed { data: Blob(offer) });
            self.tell_credentials().await;
        }
    }

    async fn tell_credentials(&mut self) {
        if let Some(message) = self.link.credentials().await {
            self.registration.tell(message);
        }
    }

    /// The connection is not what was agreed: nothing more of it is taken, and the viewer is told.
    pub(super) async fn refuse_connection(&mut self, error: &ConnectionError) {
        tracing::warn!(%error, "the connection is refused");
        if let Some(message) = self.link.seal_refusal(error) {
            self.registration.tell(message);
        }
        self.drop_connection().await;
    }

    pub(super) async fn drop_connection(&mut self) {
        self.pause().await;
        self.link.disconnect();
    }
}

/// What the server's word for an end is worth. What the user said comes sealed: a refusal that only
/// the server tells of is nobody's.
fn end_by_server(outcome: Outcome) -> HandoffEnd {
    match outcome {
        Outcome::Expired => HandoffEnd::Expired,
        Outcome::Cancelled | Outcome::Resolved | Outcome::Failed | Outcome::Declined => {
            HandoffEnd::Cancelled
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_cannot_say_that_the_user_refused() {
        for outcome in [
            Outcome::Declined,
            Outcome::Resolved,
            Outcome::Failed,
            Outcome::Cancelled,
        ] {
            assert!(matches!(end_by_server(outcome), HandoffEnd::Cancelled));
        }
    }
}
