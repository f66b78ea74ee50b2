//! Who carries a session through: the handoff in production, anything else in tests.

use tokio_util::sync::CancellationToken;

use super::ended::{Ended, RunError};
use super::order::Order;
use super::session_event::SessionEvent;

/// Told of the link and of each state.
pub type Report = Box<dyn FnMut(SessionEvent) + Send + Sync>;

/// Carries sessions through.
#[async_trait::async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Carries one through, from the link, which is the first thing reported, to its end.
    ///
    /// `cancel` withdraws it; `finish` ends it as done by the agent's word.
    async fn run(
        &self,
        order: Order,
        cancel: CancellationToken,
        finish: CancellationToken,
        report: Report,
    ) -> Result<Ended, RunError>;

    /// Where the agent reaches the browser after the handoff.
    fn agent_cdp_url(&self, order: &Order) -> String {
        order.cdp_url.clone()
    }
}
