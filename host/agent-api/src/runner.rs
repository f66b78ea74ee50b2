//! Who carries a session through: the handoff in production, anything else in tests.

use tokio_util::sync::CancellationToken;

use super::{
    session_end::{RunError, SessionEnd},
    session_event::SessionEvent,
    session_request::SessionRequest,
};

/// Told of the link and of each state.
pub type EventReporter = Box<dyn FnMut(SessionEvent) + Send + Sync>;

/// Carries sessions through.
#[async_trait::async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Carries one through, from the link, which is the first thing reported, to its end.
    ///
    /// `cancel` withdraws it; `finish` ends it as done by the agent's word.
    async fn run(
        &self,
        request: SessionRequest,
        cancel: CancellationToken,
        finish: CancellationToken,
        report: EventReporter,
    ) -> Result<SessionEnd, RunError>;

    /// Where the agent reaches the browser after the handoff.
    fn agent_cdp_url(&self, request: &SessionRequest) -> String {
        request.cdp_url.clone()
    }
}
