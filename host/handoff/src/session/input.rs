//! What comes over the data channel.

use std::time::Instant;

use authloop_media::peer::PeerEvent;
use authloop_protocol::{
    frame::Frame,
    id::Blob,
    input::InputEvent,
    output::{OutputMessage, RefusedReason},
    sequence::AcceptedFrame,
};

use super::{HandoffSession, Step};
use crate::connection::{ConnectionError, Control};
use crate::{HandoffEnd, HandoffEvent, HandoffState};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn on_peer(&mut self, event: Option<PeerEvent>) -> Step {
        match event {
            Some(PeerEvent::Open) => {
                let applied = self.applied();
                if let Some(connection) = &mut self.connection
                    && let Err(error) = connection.confirm(applied).await
                {
                    self.give_up(&error).await;
                }
            }
            Some(PeerEvent::Message(bytes, arrived)) => {
                return self.on_frame(&bytes, arrived).await;
            }
            Some(PeerEvent::Ice(state)) => self.on_ice_state(state),
            Some(PeerEvent::Keyframe) => self.stage.keyframe_requested(),
            Some(PeerEvent::Closed) | None => {
                self.drop_connection().await;
                if self.state != HandoffState::Claimed {
                    self.enter(HandoffState::Reconnecting);
                }
            }
        }
        Ok(None)
    }

    fn applied(&self) -> u64 {
        self.sequence
            .as_ref()
            .map_or(0, |sequence| sequence.applied())
    }

    async fn on_frame(&mut self, bytes: &[u8], arrived: Instant) -> Step {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        match connection.frame(bytes) {
            Ok(Frame::Input {
                sequence,
                epoch,
                more,
                body,
            }) => self.on_input(sequence, epoch, more, &body, arrived).await,
            Ok(Frame::Filler) => Ok(None),
            Ok(Frame::Control { body }) => {
                self.on_control(&body).await;
                Ok(None)
            }
            Err(error) => {
                self.give_up(&error.into()).await;
                Ok(None)
            }
        }
    }

    async fn on_control(&mut self, body: &[u8]) {
        match serde_json::from_slice(body) {
            Ok(Control::Ping { n }) => self.say(&OutputMessage::Pong { n }).await,
            Ok(Control::Confirm { transcript }) => {
                let Some(connection) = &mut self.connection else {
                    return;
                };
                match connection.confirmed(&transcript) {
                    Ok(()) => {
                        let video = connection.video.clone();
                        self.enter(HandoffState::Live);
                        self.stage.present(video);
                        self.update().await;
                        self.retell().await;
                    }
                    Err(error) => self.give_up(&error).await,
                }
            }
            Err(_) => tracing::debug!("an unknown control message was passed over"),
        }
    }

    async fn on_input(
        &mut self,
        sequence: u64,
        epoch: u32,
        more: bool,
        body: &[u8],
        arrived: Instant,
    ) -> Step {
        let Some(input) = &mut self.sequence else {
            return Ok(None);
        };
        let (epoch, event) = match input.accept(sequence, epoch, more, body) {
            Ok(AcceptedFrame::Message { epoch, event }) => (epoch, event),
            Ok(AcceptedFrame::Part) => return Ok(None),
            Ok(AcceptedFrame::Duplicate) => {
                self.ack().await;
                return Ok(None);
            }
            Err(gap) => {
                tracing::warn!(%gap, "input has a hole");
                self.give_up(&ConnectionError::Seal(
                    authloop_protocol::seal::SealError::Replayed,
                ))
                .await;
                return Ok(None);
            }
        };
        let refused = match event {
            Err(_) => Some(RefusedReason::Malformed),
            Ok(event) => match self.allowed(&event, epoch) {
                Some(reason) => Some(reason),
                None => match self.apply(event, arrived).await {
                    Applied::Done => None,
                    Applied::Refused => Some(RefusedReason::Unsupported),
                    Applied::End(end) => {
                        self.ack().await;
                        return Ok(Some(end));
                    }
                },
            },
        };
        if let Some(reason) = refused {
            self.config.metrics.count_refusal(reason);
            self.say(&OutputMessage::Refused { sequence, reason }).await;
        }
        self.ack().await;
        Ok(None)
    }

    async fn ack(&mut self) {
        let applied = self.applied();
        self.say(&OutputMessage::Ack { applied }).await;
    }

    /// Why an event must not be applied, if so.
    fn allowed(&self, event: &InputEvent, epoch: u32) -> Option<RefusedReason> {
        let device = self.device.map(Blob::from);
        let may_act = self.connection.as_ref().zip(device).is_some_and(
            // A device that gave the session away has no say in it any more.
            |(connection, device)| connection.verified && connection.is_of(&device),
        );
        if event.acts_on_page() && !may_act {
            return Some(RefusedReason::Locked);
        }
        // Keys that were meant for one origin must not reach another.
        (event.is_typed() && epoch != self.stage.epoch()).then_some(RefusedReason::Epoch)
    }

    async fn apply(&mut self, event: InputEvent, arrived: Instant) -> Applied {
        match event {
            InputEvent::Done => match self.done().await {
                Some(end) => Applied::End(end),
                None => Applied::Done,
            },
            InputEvent::FinishAnyway => Applied::End(self.finish_anyway().await),
            InputEvent::HandOver { device } => match self.take_over(&device).await {
                true => Applied::Done,
                false => Applied::Refused,
            },
            InputEvent::Decline { reason } => Applied::End(HandoffEnd::Declined(reason)),
            event => match self.stage.apply(event, arrived).await {
                Ok(()) => {
                    // Of files, how much has come.
                    self.update().await;
                    Applied::Done
                }
                Err(error) => {
                    tracing::debug!(%error, "an input event was not applied");
                    Applied::Refused
                }
            },
        }
    }
}

enum Applied {
    Done,
    Refused,
    End(HandoffEnd),
}
