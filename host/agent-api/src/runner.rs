//! Who carries a session through: the handoff in production, anything else in tests.

use tokio_util::sync::CancellationToken;

use super::{
    session_end::{RunError, SessionEnd},
    session_event::SessionEvent,
    session_request::SessionRequest,
};

/// Told of the room, the link and each state.
pub type EventReporter = Box<dyn FnMut(SessionEvent) + Send + Sync>;

/// Why the sites that a session wants granted are refused: one sentence, with the site and what to give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RoomRefusal(pub String);

/// Carries sessions through.
#[async_trait::async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Carries one through, from its room and its link, which are the first things reported, to its end.
    ///
    /// `cancel` withdraws it; `finish` ends it as done by the agent's word.
    async fn run(
        &self,
        request: SessionRequest,
        cancel: CancellationToken,
        finish: CancellationToken,
        report: EventReporter,
    ) -> Result<SessionEnd, RunError>;

    /// Checks what a session asks of its room, before anything is begun. What was parsed is well-formed; whether each
    /// of the grants is a site, and the site of an expected origin or of the page's address, is told here.
    ///
    /// # Errors
    /// [`RoomRefusal`], which the agent gets as `invalid_request` with the field `grants`.
    fn check_room(&self, _request: &SessionRequest) -> Result<(), RoomRefusal> {
        Ok(())
    }

    /// Where the agent reaches the browser after the handoff.
    fn agent_cdp_url(&self, request: &SessionRequest) -> String {
        request.cdp_url.clone()
    }
}
