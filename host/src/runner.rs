//! Carries the agent API's sessions through, by handoffs.

use std::collections::HashMap;

use authloop_agent_api::{
    EventReporter, GateMode, RoomView, RunError, Runner, SessionEnd, SessionEvent, SessionRequest,
    SessionState,
};
use authloop_gate::{ClosedMode, Gate, GateError, GatedBrowser, HandoffGate, Upstream};
use authloop_handoff::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState, Verify,
    signal::SignalingServer,
};
use authloop_host_metrics::Metrics;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Carries a session through by a handoff.
pub(crate) struct HandoffRunner {
    /// Before browsers that this process has the keeping of.
    pub(crate) gate: Gate,
    /// Browsers of agents' own that were put behind the gate because an agent asked for it.
    pub(crate) gated: Mutex<HashMap<String, GatedBrowser>>,
    /// The signaling server as this host reaches it.
    pub(crate) server: SignalingServer,
    /// The signaling server's origin as the viewer reaches it.
    pub(crate) public_origin: String,
    /// Where the viewer page is served.
    pub(crate) viewer_origin: String,
    /// Where handoffs are counted.
    pub(crate) metrics: Metrics,
}

impl HandoffRunner {
    /// The browser behind our gate, if it is there or the agent wants it there.
    async fn gated(&self, request: &SessionRequest) -> Result<Option<GatedBrowser>, GateError> {
        let browser = match (self.known(&request.cdp_url), request.gate) {
            (Some(browser), _) => browser,
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                let upstream = Upstream::Address(request.cdp_url.clone());
                let browser = self.gate.add_browser(upstream).await?;
                let mut gated = self.gated.lock();
                gated.retain(|_, browser| !browser.is_gone());
                gated.insert(request.cdp_url.clone(), browser.clone());
                browser
            }
        };
        if let Some(mode) = request.gate {
            browser.set_mode(gate_mode(mode)).await?;
        }
        Ok(Some(browser))
    }

    fn known(&self, cdp_url: &str) -> Option<GatedBrowser> {
        let found = self.gate.find(cdp_url);
        let found = found.or_else(|| self.gated.lock().get(cdp_url).cloned());
        found.filter(|browser| !browser.is_gone())
    }

    fn config(
        &self,
        request: SessionRequest,
        gate: Option<GatedBrowser>,
        finish: CancellationToken,
    ) -> HandoffConfig {
        HandoffConfig {
            cdp: request.cdp_url,
            gate: gate.map(HandoffGate::Local),
            server: self.server.clone(),
            public_origin: self.public_origin.clone(),
            viewer_origin: self.viewer_origin.clone(),
            requester: request.requester,
            reason: request.reason,
            wall_type: request.wall_type,
            expected_origins: request.expected_origins,
            ttl: request.ttl,
            storage_state: request.storage_state,
            storage_origins: request.storage_origins,
            verify: Verify {
                done_when: request.done_when,
                auto_finish: request.auto_finish,
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
        request: SessionRequest,
        cancel: CancellationToken,
        finish: CancellationToken,
        mut report: EventReporter,
    ) -> Result<SessionEnd, RunError> {
        let gate = self.gated(&request).await;
        let gate = gate.map_err(|error| run_error(&error.into()))?;
        // Whatever was asked for: what the agent and its user are told must be what they get.
        report(SessionEvent::Room(RoomView::IN_PLACE));
        let config = self.config(request, gate, finish);
        let end = authloop_handoff::run(config, cancel, |event| report(session_event(event)));
        let end = end.await.map_err(|error| run_error(&error))?;
        Ok(match end {
            HandoffEnd::Resolved {
                cookies,
                storage_state,
                conclusion,
            } => SessionEnd::Resolved {
                cookies,
                storage_state: storage_state.map(|state| state.to_json()),
                conclusion,
            },
            HandoffEnd::Declined(reason) => SessionEnd::Declined(reason),
            HandoffEnd::Expired => SessionEnd::Expired,
            HandoffEnd::Cancelled => SessionEnd::Cancelled,
        })
    }

    fn agent_cdp_url(&self, request: &SessionRequest) -> String {
        match self.known(&request.cdp_url) {
            Some(browser) => browser.cdp_url(),
            None => request.cdp_url.clone(),
        }
    }
}

/// The agent API's word for it and the gate's.
fn gate_mode(mode: GateMode) -> ClosedMode {
    match mode {
        GateMode::Hold => ClosedMode::Hold,
        GateMode::Reject => ClosedMode::Reject,
    }
}

/// The handoff's word for it and the agent API's.
fn session_event(event: HandoffEvent) -> SessionEvent {
    match event {
        HandoffEvent::Link(url) => SessionEvent::Link(url),
        HandoffEvent::State(state) => SessionEvent::State(session_state(state)),
        HandoffEvent::SecondClaim => SessionEvent::SecondClaim,
        HandoffEvent::HandedOver => SessionEvent::HandedOver,
        HandoffEvent::PasskeyRequired => SessionEvent::PasskeyRequired,
    }
}

fn session_state(state: HandoffState) -> SessionState {
    match state {
        HandoffState::Waiting => SessionState::Waiting,
        HandoffState::Claimed => SessionState::Claimed,
        HandoffState::Connecting => SessionState::Connecting,
        HandoffState::Live => SessionState::Live,
        HandoffState::Reconnecting => SessionState::Reconnecting,
        HandoffState::Checking => SessionState::Checking,
    }
}

/// Which part failed, in words that name no secret.
fn run_error(error: &HandoffError) -> RunError {
    let text = error.to_string();
    match error {
        HandoffError::Browser(_) | HandoffError::Gate(_) => RunError::Browser(text),
        HandoffError::Signal(_) | HandoffError::Closed { .. } => RunError::Signaling(text),
        HandoffError::Invitation(_) | HandoffError::Ttl(_) | HandoffError::Origin(_) => {
            RunError::Order(text)
        }
        HandoffError::Peer(_) | HandoffError::Encode(_) => RunError::Internal(text),
    }
}
