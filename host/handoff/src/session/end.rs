//! The end: what is collected, and who is told.

use authloop_done_when::Conclusion;
use authloop_gate::Ending;
use authloop_protocol::{output::OutputMessage, signal::Outcome};

use super::{HandoffSession, Place};
use crate::{HandoffEnd, HandoffError, HandoffEvent};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn resolve(&mut self, conclusion: Conclusion) -> HandoffEnd {
        let Some(stage) = &self.stage else {
            return nothing_moved(conclusion);
        };
        // An agent that ends a private room by its own word gets nothing of it.
        if self.place.is_private() {
            return nothing_moved(conclusion);
        }
        let expected = self.config.expected_origins.as_slice();
        let origins = self.config.storage_origins.as_deref();
        let origins = origins.or((!expected.is_empty()).then_some(expected));
        let (cookies, storage_state) = stage.collect(self.config.storage_state, origins).await;
        HandoffEnd::Resolved {
            cookies,
            storage_state,
            conclusion,
        }
    }

    /// Who has ended it, as the gate needs to know: what the user is not done with may be in pages still.
    pub(super) fn ending(&self, end: &Result<HandoffEnd, HandoffError>) -> Ending {
        match end {
            Ok(HandoffEnd::Resolved { conclusion, .. })
                if self.user_is_done && !matches!(conclusion, Conclusion::Agent) =>
            {
                Ending::ByUser
            }
            _ => Ending::Otherwise,
        }
    }

    /// Tells both the viewer and the server how it ended.
    pub(super) async fn finish(&mut self, end: &Result<HandoffEnd, HandoffError>) {
        let (outcome, message) = match end {
            Ok(HandoffEnd::Resolved { .. }) => (Outcome::Resolved, "You are signed in."),
            Ok(HandoffEnd::NotMoved { .. }) => (
                Outcome::Resolved,
                "The agent's browser does not show that you are signed in.",
            ),
            Ok(HandoffEnd::Declined(_)) => (Outcome::Declined, "You declined."),
            Ok(HandoffEnd::Expired) => (Outcome::Expired, "The time for this ran out."),
            Ok(HandoffEnd::Cancelled) => (Outcome::Cancelled, "The agent withdrew the request."),
            Err(_) => (Outcome::Failed, "The remote browser is gone."),
        };
        if let Some(mut stage) = self.stage.take() {
            stage.end_user_control().await;
        }
        // Gone before anyone hears of the end.
        if let Place::Private(room) = &mut self.place {
            room.close().await;
        }
        self.link
            .send(&OutputMessage::Outcome {
                outcome,
                message: message.to_owned(),
            })
            .await;
        // A viewer without a connection hears it through the server, whose own word it does not take.
        if let Some(sealed) = self.link.seal_outcome(outcome, message) {
            self.registration.tell(sealed);
        }
        self.registration.end(outcome).await;
        self.link.close().await;
    }
}

fn nothing_moved(conclusion: Conclusion) -> HandoffEnd {
    HandoffEnd::Resolved {
        cookies: 0,
        storage_state: None,
        conclusion,
    }
}
