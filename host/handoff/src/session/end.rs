//! The end: what is collected, who is told, and the gate.

use std::time::Duration;

use authloop_done_when::Conclusion;
use authloop_gate::GateError;
use authloop_protocol::{
    output::OutputMessage,
    signal::{HostMessage, Outcome, ServerMessage},
};
use tokio::time::sleep;

use super::HandoffSession;
use crate::signal::SignalEvent;
use crate::storage::StorageState;
use crate::{HandoffEnd, HandoffError, HandoffEvent};

/// How long the last message may take to reach the viewer, who waits for it on screen.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(800);

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    pub(super) async fn open_gate(&mut self) -> Result<(), GateError> {
        match self.lease.take() {
            Some(lease) => lease.open().await,
            None => Ok(()),
        }
    }

    pub(super) async fn resolve(&mut self, conclusion: Conclusion) -> HandoffEnd {
        let page = self.stage.page();
        let expected = self.config.expected_origins.as_slice();
        let origins = self.config.storage_origins.as_deref();
        let origins = origins.or((!expected.is_empty()).then_some(expected));
        let collected = if self.config.storage_state {
            let state = StorageState::collect(&self.browser, &page, origins).await;
            state.map(|state| (state.cookie_count(), Some(state)))
        } else {
            let count = StorageState::count_cookies(&page, origins).await;
            count.map(|count| (count, None))
        };
        let (cookies, storage_state) = collected.unwrap_or_else(|error| {
            // The user has signed in all the same; what cannot be counted is not claimed.
            tracing::warn!(%error, "the cookies could not be read");
            (0, None)
        });
        HandoffEnd::Resolved {
            cookies,
            storage_state,
            conclusion,
        }
    }

    /// Tells both the viewer and the server how it ended.
    pub(super) async fn finish(&mut self, end: &Result<HandoffEnd, HandoffError>) {
        let (outcome, message) = match end {
            Ok(HandoffEnd::Resolved { .. }) => (Outcome::Resolved, "You are signed in."),
            Ok(HandoffEnd::Declined(_)) => (Outcome::Declined, "You declined."),
            Ok(HandoffEnd::Expired) => (Outcome::Expired, "The time for this ran out."),
            Ok(HandoffEnd::Cancelled) => (Outcome::Cancelled, "The agent withdrew the request."),
            Err(_) => (Outcome::Failed, "The remote browser is gone."),
        };
        self.stage.leave().await;
        self.say(&OutputMessage::Outcome {
            outcome,
            message: message.to_owned(),
        })
        .await;
        self.tell(HostMessage::End { outcome });
        let goodbye = async {
            while let Some(event) = self.signals.recv().await {
                if matches!(
                    event,
                    SignalEvent::Message(ServerMessage::Ended { .. }) | SignalEvent::Closed { .. }
                ) {
                    return;
                }
            }
        };
        if tokio::time::timeout(FAREWELL_TIMEOUT, goodbye)
            .await
            .is_err()
        {
            // The socket is not up; the session must not outlive us at the server.
            let deleted = self.config.server.delete(self.secrets.id, &self.token);
            if let Err(error) = deleted.await {
                tracing::debug!(%error, "the server could not be told of the end");
            }
        }
        if let Some(connection) = self.connection.take() {
            // Lets the last record leave before DTLS closes.
            sleep(Duration::from_millis(100)).await;
            connection.peer.close().await;
        }
    }
}
