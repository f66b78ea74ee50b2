//! What the user sees: the room that opens, begins anew, or gives way to the agent's own browser.

use authloop_protocol::{input::DeclineReason, output::OutputMessage};

use super::{
    HandoffSession, Place, browser_stage::BrowserStage, done_when::Verifier, from_viewer::Applied,
};
use crate::{HandoffEnd, HandoffError, HandoffEvent, HandoffState, RoomConfig};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// Takes a private room and leads it to where the sign-in begins.
    pub(super) async fn open_room(&mut self) -> Result<(), HandoffError> {
        let Place::Private(room) = &mut self.place else {
            return Ok(());
        };
        let (browser, page) = room.open().await?;
        let first = Some(page.target());
        let mut stage = BrowserStage::open(browser.clone(), first, &self.config).await?;
        stage.note_typed();
        let granted = Some(room.grant().clone());
        room.begin(browser, page);
        self.verifier = Verifier::new(&self.config.verify, Some(stage.view()), granted);
        self.verifier.watch();
        self.stage = Some(stage);
        Ok(())
    }

    /// The user wants the private room to begin anew.
    pub(super) async fn start_over(&mut self) -> Result<Applied, HandoffError> {
        let Place::Private(room) = &mut self.place else {
            return Ok(Applied::Refused);
        };
        let Some(mut stage) = self.stage.take() else {
            return Ok(Applied::Refused);
        };
        stage.end_user_control().await;
        drop(stage);
        room.close().await;
        self.open_room().await?;
        self.resume_stage().await;
        Ok(Applied::Done)
    }

    /// The user goes on inside the agent's own browser, after the session did not move.
    pub(super) async fn go_on_in_place(&mut self) -> Result<Applied, HandoffError> {
        if !matches!(self.place, Place::Undecided(_)) {
            return Ok(Applied::Refused);
        }
        self.gate.close(self.secrets.id).await?;
        let browser = super::connect(&self.config).await?;
        let stage = BrowserStage::open(browser, None, &self.config).await?;
        self.place = Place::AgentBrowser;
        self.verifier = Verifier::new(&self.config.verify, Some(stage.view()), None);
        self.verifier.watch();
        self.user_is_done = false;
        self.stage = Some(stage);
        self.progress.tell(HandoffEvent::Room(self.place.report()));
        self.link.send(&OutputMessage::InPlace {}).await;
        self.resume_stage().await;
        Ok(Applied::Done)
    }

    /// Says on a new connection what has become of the room that the invitation promised.
    pub(super) async fn tell_place(&mut self) {
        let message = match &self.place {
            Place::Moving(_) => OutputMessage::Moving {},
            Place::Undecided(_) => not_moved(true),
            Place::AgentBrowser if matches!(self.config.room, RoomConfig::Private(_)) => {
                OutputMessage::InPlace {}
            }
            Place::AgentBrowser | Place::Private(_) => return,
        };
        self.link.send(&message).await;
        if matches!(&self.place, Place::Moving(moving) if moving.agent_away) {
            self.tell_agent_away().await;
        }
    }

    /// Shows a new stage on the connection that there is.
    async fn resume_stage(&mut self) {
        if let Some(stage) = &self.stage {
            stage.begin_user_control().await;
        }
        self.start_video();
        if self.progress.state() == HandoffState::Live {
            self.verifier.begin();
        }
        if self.link.is_verified() {
            self.present().await;
        }
    }

    /// Makes video ready in what the viewer takes, once it has said so.
    pub(super) fn start_video(&mut self) {
        if let (Some(stage), Some(codec)) = (&mut self.stage, self.codec)
            && let Err(error) = stage.start_video(codec)
        {
            tracing::error!(%error, "no video");
        }
    }

    /// Shows the browser on a confirmed connection, whole.
    pub(super) async fn present(&mut self) {
        let video = self.link.video();
        if let Some(stage) = &mut self.stage {
            stage.present(video);
        }
        self.update_viewer().await;
    }

    /// Shows nothing more, and lets go of everything held.
    pub(super) async fn pause(&mut self) {
        if let Some(stage) = &mut self.stage {
            stage.pause().await;
        }
    }

    /// The user declines: the handoff, or to go on in place after the session did not move.
    pub(super) fn declined(&mut self, reason: DeclineReason) -> HandoffEnd {
        match std::mem::replace(&mut self.place, Place::AgentBrowser) {
            Place::Undecided(conclusion) => HandoffEnd::NotMoved { conclusion },
            place => {
                self.place = place;
                HandoffEnd::Declined(reason)
            }
        }
    }
}

/// The agent's browser does not show the sign-in.
pub(super) fn not_moved(in_place: bool) -> OutputMessage {
    OutputMessage::NotMoved {
        in_place,
        message: "The agent's browser does not show that you are signed in.".to_owned(),
    }
}
