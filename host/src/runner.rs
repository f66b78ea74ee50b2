//! Carries the agent API's sessions through, by handoffs.

use std::collections::HashMap;

use authloop_agent_api::{
    EventReporter, GateMode, Isolation, RoomChoice, RoomRefusal, RoomStart, RoomView, RunError,
    Runner, SessionEnd, SessionEvent, SessionRequest, SessionState,
};
use authloop_cdp::BrowserError;
use authloop_gate::{ClosedMode, Gate, GateError, GatedBrowser, HandoffGate, Upstream};
use authloop_handoff::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState, PrivateRoomConfig,
    RoomConfig, RoomReport, Verify, signal::SignalingServer,
};
use authloop_host_metrics::Metrics;
use authloop_protocol::invitation;
use authloop_rooms::{self as rooms, Grant, RoomError, RoomPool};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Which browsers agents may have handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CdpAllow {
    /// Any that this host reaches.
    Any,
    /// Those behind this host's gate.
    Gated,
}

/// Carries a session through by a handoff.
pub(crate) struct HandoffRunner {
    /// Before browsers that this process has the keeping of.
    pub(crate) gate: Gate,
    /// Whether an agent's address is dialled.
    pub(crate) cdp_allow: CdpAllow,
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
    /// Private rooms, or why there are none.
    pub(crate) rooms: Result<RoomPool, RoomError>,
    /// Whether fresh rooms keep the address's query.
    pub(crate) keep_query: bool,
    /// Whether users may sign in inside agents' browsers.
    pub(crate) in_place_allowed: bool,
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

    /// Refuses a browser that agents could hand over to themselves: one that is reached through a relay of
    /// theirs, or that is none.
    fn check_allowed(&self, cdp_url: &str) -> Result<(), RunError> {
        if self.cdp_allow == CdpAllow::Any || self.known(cdp_url).is_some() {
            return Ok(());
        }
        let why = "cdp_url must be the address of a browser behind this host's gate, as the host told it \
            at its start: other browsers are handed over with --cdp-allow any only";
        Err(RunError::Order(why.to_owned()))
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
    ) -> Result<HandoffConfig, RoomError> {
        Ok(HandoffConfig {
            cdp: request.cdp_url,
            gate: gate.map(HandoffGate::Local),
            room: self.room(request.room)?,
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
        })
    }

    fn room(&self, choice: RoomChoice) -> Result<RoomConfig, RoomError> {
        Ok(match choice {
            RoomChoice::InPlace => RoomConfig::InPlace,
            RoomChoice::Private { start, grants, url } => RoomConfig::Private(PrivateRoomConfig {
                pool: self.rooms.clone()?,
                start: match start {
                    RoomStart::Fresh => invitation::RoomStart::Fresh,
                    RoomStart::AsIs => invitation::RoomStart::AsIs,
                },
                url,
                grants,
                keep_query: self.keep_query,
                in_place_allowed: self.in_place_allowed,
            }),
        })
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
        self.check_allowed(&request.cdp_url)?;
        let gate = self.gated(&request).await;
        let gate = gate.map_err(|error| run_error(&error.into()))?;
        let config = self.config(request, gate, finish);
        let config = config.map_err(|error| run_error(&error.into()))?;
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
            HandoffEnd::NotMoved { conclusion } => SessionEnd::NotMoved { conclusion },
            HandoffEnd::Declined(reason) => SessionEnd::Declined(reason),
            HandoffEnd::Expired => SessionEnd::Expired,
            HandoffEnd::Cancelled => SessionEnd::Cancelled,
        })
    }

    fn check_room(&self, request: &SessionRequest) -> Result<(), RoomRefusal> {
        let RoomChoice::Private { grants, url, .. } = &request.room else {
            return Ok(());
        };
        // What the page shows is known only once the browser is reached.
        let known = !grants.is_empty() || !request.expected_origins.is_empty() || url.is_some();
        if !known {
            return Ok(());
        }
        Grant::choose(grants, &request.expected_origins, url.as_deref(), None)
            .map(drop)
            .map_err(|error| RoomRefusal(error.to_string()))
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
        HandoffEvent::Room(room) => SessionEvent::Room(room_view(room)),
        HandoffEvent::Link(url) => SessionEvent::Link(url),
        HandoffEvent::State(state) => SessionEvent::State(session_state(state)),
        HandoffEvent::SecondClaim => SessionEvent::SecondClaim,
        HandoffEvent::HandedOver => SessionEvent::HandedOver,
        HandoffEvent::PasskeyRequired => SessionEvent::PasskeyRequired,
    }
}

fn room_view(room: RoomReport) -> RoomView {
    match room {
        RoomReport::InPlace => RoomView::IN_PLACE,
        RoomReport::Private {
            start,
            sites,
            isolation,
        } => RoomView::private(
            match start {
                invitation::RoomStart::Fresh => RoomStart::Fresh,
                invitation::RoomStart::AsIs => RoomStart::AsIs,
            },
            sites,
            match isolation {
                rooms::Isolation::OwnUser => Isolation::OwnUser,
                rooms::Isolation::SameUser => Isolation::SameUser,
            },
        ),
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
        // One answer for whatever is there: agents must not learn what this host can reach.
        HandoffError::Browser(reason) | HandoffError::Gate(GateError::Browser(reason))
            if is_about_address(reason) =>
        {
            tracing::warn!(%reason, "an agent's browser cannot be used");
            RunError::Browser("nothing that speaks CDP answers at cdp_url".to_owned())
        }
        HandoffError::Browser(_) | HandoffError::Gate(_) | HandoffError::Plant(_) => {
            RunError::Browser(text)
        }
        HandoffError::Room(_) => RunError::Room(text),
        HandoffError::Grant(_) | HandoffError::Start(_) => RunError::Grants(text),
        HandoffError::Signal(_) | HandoffError::Closed { .. } => RunError::Signaling(text),
        HandoffError::Invitation(_) | HandoffError::Ttl(_) | HandoffError::Origin(_) => {
            RunError::Order(text)
        }
        HandoffError::Peer(_) | HandoffError::Encode(_) => RunError::Internal(text),
    }
}

fn is_about_address(error: &BrowserError) -> bool {
    matches!(
        error,
        BrowserError::Unreachable { .. } | BrowserError::NotABrowser { .. }
    )
}
