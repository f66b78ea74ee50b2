//! What comes over the data channel.

use std::time::Instant;

use authloop_done_when::Conclusion;
use authloop_media::peer::PeerEvent;
use authloop_protocol::{
    id::Blob,
    input::InputEvent,
    output::{OutputMessage, RefusedReason},
    signal::HostMessage,
};

use super::{
    HandoffSession, Step,
    browser_stage::BrowserStage,
    claim::Takeover,
    peer_link::{LinkEvent, ViewerInput},
};
use crate::{HandoffEnd, HandoffError, HandoffEvent, HandoffState};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn on_peer(&mut self, event: Option<PeerEvent>) -> Step {
        match self.link.handle(event).await {
            LinkEvent::Nothing => {}
            LinkEvent::Confirmed => self.on_confirmed().await,
            LinkEvent::Input(input) => return self.on_input(input).await,
            LinkEvent::PathLost => self.on_path_lost(),
            LinkEvent::PathFound => {
                self.enter(HandoffState::Live);
                if let Some(stage) = &self.stage {
                    stage.request_keyframe();
                }
            }
            LinkEvent::KeyframeRequested => {
                if let Some(stage) = &mut self.stage {
                    stage.keyframe_requested();
                }
            }
            LinkEvent::Refused(error) => self.refuse_connection(&error).await,
            LinkEvent::Closed => {
                self.drop_connection().await;
                if self.progress.state() != HandoffState::Claimed {
                    self.enter(HandoffState::Reconnecting);
                }
            }
        }
        Ok(None)
    }

    /// The viewer is who it should be, and may see the browser.
    async fn on_confirmed(&mut self) {
        self.enter(HandoffState::Live);
        self.tell_place().await;
        self.present().await;
        if let Some(message) = self.verifier.take_undelivered() {
            self.link.send(&message).await;
        }
    }

    fn on_path_lost(&mut self) {
        if self.link.is_verified() {
            self.enter(HandoffState::Reconnecting);
        }
        if self.link.take_restart() {
            self.registration.tell(HostMessage::Restart {});
        }
    }

    async fn on_input(&mut self, input: ViewerInput) -> Step {
        let ViewerInput {
            sequence,
            epoch,
            event,
            arrived,
        } = input;
        let refused = match event {
            None => Some(RefusedReason::Malformed),
            Some(event) => match self.refusal(&event, epoch) {
                Some(reason) => Some(reason),
                None => match self.apply(event, arrived).await? {
                    Applied::Done => None,
                    Applied::Refused => Some(RefusedReason::Unsupported),
                    Applied::End(end) => {
                        self.link.acknowledge().await;
                        return Ok(Some(end));
                    }
                },
            },
        };
        if let Some(reason) = refused {
            self.config.metrics.count_refusal(reason);
            self.link
                .send(&OutputMessage::Refused { sequence, reason })
                .await;
        }
        self.link.acknowledge().await;
        Ok(None)
    }

    /// Why an event must not be applied, if so.
    fn refusal(&self, event: &InputEvent, epoch: u32) -> Option<RefusedReason> {
        // A device that gave the session away has no say in it any more.
        let device = self.claim.device_blob();
        let may_act = device.is_some_and(|device| self.link.is_verified_for(&device));
        if event.acts_on_page() && !may_act {
            return Some(RefusedReason::Locked);
        }
        // Keys that were meant for one origin must not reach another.
        let epoch_now = self.stage.as_ref().map(BrowserStage::epoch);
        (event.is_typed() && Some(epoch) != epoch_now).then_some(RefusedReason::Epoch)
    }

    async fn apply(
        &mut self,
        event: InputEvent,
        arrived: Instant,
    ) -> Result<Applied, HandoffError> {
        Ok(match event {
            InputEvent::Done => match self.on_done().await? {
                Some(end) => Applied::End(end),
                None => Applied::Done,
            },
            InputEvent::FinishAnyway if self.stage.is_some() => {
                self.user_is_done = true;
                let conclusion = if self.place.is_private() {
                    Conclusion::Unchecked
                } else {
                    self.verifier.overrule().await
                };
                match self.conclude(conclusion).await? {
                    Some(end) => Applied::End(end),
                    None => Applied::Done,
                }
            }
            InputEvent::FinishAnyway => Applied::Refused,
            InputEvent::StartOver => self.start_over().await?,
            InputEvent::InPlace => self.go_on_in_place().await?,
            InputEvent::HandOver { device } => {
                if self.take_over(&device).await {
                    Applied::Done
                } else {
                    Applied::Refused
                }
            }
            InputEvent::Decline { reason } => Applied::End(self.declined(reason)),
            event => match &mut self.stage {
                None => Applied::Refused,
                Some(stage) => match stage.apply(event, arrived).await {
                    Ok(()) => {
                        // Of files, how much has come.
                        self.update_viewer().await;
                        Applied::Done
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an input event was not applied");
                        Applied::Refused
                    }
                },
            },
        })
    }

    /// The device that has the session gives it to `device`, whose hello is awaited from now on.
    /// `false` if that is no device.
    ///
    /// The old connection stands until then, so that its user sees a picture that stands still and
    /// not an error; but nothing that it says acts on the page any more.
    async fn take_over(&mut self, device: &Blob) -> bool {
        match self.claim.take_over(device) {
            Takeover::NotADevice => return false,
            Takeover::Same => {}
            Takeover::Moved(device) => {
                self.pause().await;
                self.registration.tell(HostMessage::HandOver { device });
                self.progress.tell(HandoffEvent::HandedOver);
                self.enter(HandoffState::Reconnecting);
            }
        }
        true
    }
}

/// What became of an input event.
pub(super) enum Applied {
    Done,
    Refused,
    End(HandoffEnd),
}
