//! Who carries a session through: the handoff in production, anything else in tests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use authloop_done_when::Conclusion;
use authloop_gate::{Gate, GateError, GatedBrowser, HandoffGate, Mode, Upstream};
use authloop_handoff::signal::Server;
use authloop_handoff::{self, HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, Verify};
use authloop_host_metrics::Metrics;
use authloop_protocol::input::DeclineReason;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::order::{GateMode, Order};

/// Told of the link and of each state.
pub type Report = Box<dyn FnMut(HandoffEvent) + Send + Sync>;

/// How a session ended.
#[derive(Debug)]
pub enum Ended {
    /// The user or the agent is done.
    Resolved {
        /// How many cookies the browser holds.
        cookies: usize,
        /// Playwright's storage state as JSON, if it was asked for and could be read.
        storage_state: Option<SecretString>,
        /// How it is known.
        conclusion: Conclusion,
    },
    /// The user refused.
    Declined(DeclineReason),
    /// Nobody finished it in time.
    Expired,
    /// It was withdrawn.
    Cancelled,
}

/// Why a session broke, in words that name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The browser cannot be reached, or is gone.
    #[error("{0}")]
    Browser(String),
    /// The server cannot be reached, or refused.
    #[error("{0}")]
    Signaling(String),
    /// The order cannot be carried out.
    #[error("{0}")]
    Order(String),
    /// Anything else.
    #[error("{0}")]
    Internal(String),
}

impl RunError {
    /// What broke, in a word.
    pub(super) fn at(&self) -> &'static str {
        match self {
            Self::Browser(_) => "browser",
            Self::Signaling(_) => "signaling",
            Self::Order(_) => "order",
            Self::Internal(_) => "host",
        }
    }
}

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

/// Carries a session through by a handoff.
pub struct HandoffRunner {
    /// Before browsers that this process has the keeping of.
    pub gate: Gate,
    /// Browsers of agents' own that were put behind the gate because an agent asked for it.
    pub gated: Mutex<HashMap<String, GatedBrowser>>,
    /// The signaling server as this host reaches it.
    pub server: Server,
    /// The signaling server's origin as the viewer reaches it.
    pub public_origin: String,
    /// Where the viewer page is served.
    pub viewer_origin: String,
    /// Where handoffs are counted.
    pub metrics: Metrics,
}

impl HandoffRunner {
    /// The browser behind our gate, if it is there or the agent wants it there.
    async fn gated(&self, order: &Order) -> Result<Option<GatedBrowser>, GateError> {
        let browser = match (self.known(&order.cdp_url), order.gate) {
            (Some(browser), _) => browser,
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                let upstream = Upstream::Address(order.cdp_url.clone());
                let browser = self.gate.add_browser(upstream).await?;
                let mut gated = lock(&self.gated);
                gated.retain(|_, browser| !browser.is_gone());
                gated.insert(order.cdp_url.clone(), browser.clone());
                browser
            }
        };
        if let Some(mode) = order.gate {
            browser.set_mode(mode.into()).await?;
        }
        Ok(Some(browser))
    }

    fn known(&self, cdp_url: &str) -> Option<GatedBrowser> {
        let found = self.gate.find(cdp_url);
        let found = found.or_else(|| lock(&self.gated).get(cdp_url).cloned());
        found.filter(|browser| !browser.is_gone())
    }

    fn config(
        &self,
        order: Order,
        gate: Option<GatedBrowser>,
        finish: CancellationToken,
    ) -> HandoffConfig {
        HandoffConfig {
            cdp: order.cdp_url,
            gate: gate.map(HandoffGate::Local),
            server: self.server.clone(),
            public_origin: self.public_origin.clone(),
            viewer_origin: self.viewer_origin.clone(),
            requester: order.requester,
            reason: order.reason,
            wall_type: order.wall_type,
            expected_origins: order.expected_origins,
            ttl: order.ttl,
            storage_state: order.storage_state,
            storage_origins: order.storage_origins,
            verify: Verify {
                done_when: order.done_when,
                auto_finish: order.auto_finish,
                finish,
            },
            metrics: self.metrics.clone(),
        }
    }
}

#[async_trait::async_trait]
impl Runner for HandoffRunner {
    async fn run(
        &self,
        order: Order,
        cancel: CancellationToken,
        finish: CancellationToken,
        report: Report,
    ) -> Result<Ended, RunError> {
        let gate = self.gated(&order).await.map_err(HandoffError::from)?;
        let end = handoff::run(self.config(order, gate, finish), cancel, report).await?;
        Ok(match end {
            HandoffEnd::Resolved {
                cookies,
                storage_state,
                conclusion,
            } => Ended::Resolved {
                cookies,
                storage_state: storage_state.map(|state| state.to_json()),
                conclusion,
            },
            HandoffEnd::Declined(reason) => Ended::Declined(reason),
            HandoffEnd::Expired => Ended::Expired,
            HandoffEnd::Cancelled => Ended::Cancelled,
        })
    }

    fn agent_cdp_url(&self, order: &Order) -> String {
        match self.known(&order.cdp_url) {
            Some(browser) => browser.cdp_url(),
            None => order.cdp_url.clone(),
        }
    }
}

/// The map is consistent at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<GateMode> for Mode {
    fn from(mode: GateMode) -> Self {
        match mode {
            GateMode::Hold => Self::Hold,
            GateMode::Reject => Self::Reject,
        }
    }
}

impl From<HandoffError> for RunError {
    fn from(error: HandoffError) -> Self {
        let text = error.to_string();
        match error {
            HandoffError::Browser(_) | HandoffError::Gate(_) => Self::Browser(text),
            HandoffError::Signal(_) | HandoffError::Closed { .. } => Self::Signaling(text),
            HandoffError::Invitation(_) | HandoffError::Ttl(_) | HandoffError::Origin(_) => {
                Self::Order(text)
            }
            HandoffError::Peer(_) | HandoffError::Encode(_) => Self::Internal(text),
        }
    }
}
