//! The handoff's loop: one task that owns everything of the session.
//!
//! Each part has its own state and takes its own events; the loop routes what one part's event
//! means for the others.

mod browser_stage;
mod carry_out;
mod claim;
mod done_when;
mod end;
mod from_server;
mod from_viewer;
mod gate_hold;
mod moving;
mod peer_link;
mod private_room;
mod progress;
mod registration;
mod rooms;

use std::time::Duration;

use authloop_cdp::{Browser, BrowserError};
use authloop_done_when::Conclusion;
use authloop_media::encode::Codec;
use authloop_protocol::{invitation::PrivateRoom as InvitedRoom, output::OutputMessage};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState, RoomConfig, RoomReport,
    session_secrets::SessionSecrets, viewer_state::PASSKEY_REQUIRED,
};
use browser_stage::BrowserStage;
use claim::ClaimState;
use done_when::{CheckOutcome, CheckResult, Verifier};
use gate_hold::GateHold;
use moving::{Moving, MovingEvent};
use peer_link::PeerLink;
use private_room::PrivateRoom;
use progress::Progress;
use registration::Registration;

/// How often the encoder is told what the network takes.
const BITRATE_INTERVAL: Duration = Duration::from_millis(200);

/// Carries one handoff through. `report` is told of the link and of each state.
///
/// # Errors
/// [`HandoffError`]; the session is ended at the server and the user is told.
pub async fn run(
    config: HandoffConfig,
    cancel: CancellationToken,
    mut report: impl FnMut(HandoffEvent) + Send,
) -> Result<HandoffEnd, HandoffError> {
    // The browser comes first: a link that opens nothing must not be made.
    let browser = connect(&config).await?;
    let (place, stage) = match config.room.clone() {
        RoomConfig::InPlace => {
            let stage = BrowserStage::open(browser, None, &config).await?;
            (Place::AgentBrowser, Some(stage))
        }
        RoomConfig::Private(room) => {
            let room = PrivateRoom::prepare(room, &config.expected_origins, browser).await?;
            (Place::Private(Box::new(room)), None)
        }
    };
    let secrets = SessionSecrets::new(&config, place.invited())?;
    let registration = Registration::create(&config, &secrets, None).await?;
    let link = secrets.link(&config.viewer_origin);
    report(HandoffEvent::Room(place.report()));
    let mut session = HandoffSession {
        gate: GateHold::new(config.gate.clone()),
        verifier: Verifier::new(&config.verify, stage.as_ref().map(BrowserStage::view), None),
        expires: Instant::now() + secrets.ttl,
        cancel,
        config,
        secrets,
        registration,
        claim: ClaimState::default(),
        link: PeerLink::new(),
        place,
        stage,
        codec: None,
        progress: Progress::start(report, link.to_string()),
        user_is_done: false,
    };
    let end = session.serve().await;
    session.finish(&end).await;
    let opened = session.gate.open(session.ending(&end)).await;
    match (end, opened) {
        // The agent must not be told to go on with a browser that it cannot reach.
        (Ok(HandoffEnd::Resolved { .. }), Err(error)) => Err(error.into()),
        (end, Err(error)) => {
            tracing::error!(%error, "the gate stays closed");
            end
        }
        (end, Ok(())) => end,
    }
}

/// Connects to the agent's browser, past the gate if there is one.
async fn connect(config: &HandoffConfig) -> Result<Browser, HandoffError> {
    Ok(match &config.gate {
        Some(gate) => gate.browser().await?,
        None => Browser::connect(&config.cdp).await?,
    })
}

/// Where the user signs in.
enum Place {
    /// In the agent's own browser.
    AgentBrowser,
    /// In a browser that the agent cannot see.
    Private(Box<PrivateRoom>),
    /// Nowhere any more: the user is done, and the session is on its way to the agent's browser.
    Moving(Moving),
    /// Nowhere for now: the session did not move, and the user is asked whether to go on in place.
    Undecided(Conclusion),
}

impl Place {
    fn invited(&self) -> Option<InvitedRoom> {
        match self {
            Self::Private(room) => Some(room.invited()),
            Self::AgentBrowser | Self::Moving(_) | Self::Undecided(_) => None,
        }
    }

    fn report(&self) -> RoomReport {
        match self {
            Self::Private(room) => room.report(),
            Self::Moving(moving) => moving.room.report(),
            Self::AgentBrowser | Self::Undecided(_) => RoomReport::InPlace,
        }
    }

    fn is_private(&self) -> bool {
        matches!(self, Self::Private(_) | Self::Moving(_))
    }
}

struct HandoffSession<R> {
    config: HandoffConfig,
    secrets: SessionSecrets,
    registration: Registration,
    claim: ClaimState,
    gate: GateHold,
    link: PeerLink,
    place: Place,
    /// What the user sees; nothing before the claim of a private room, and after its end.
    stage: Option<BrowserStage>,
    /// What the viewer takes, once it has said so.
    codec: Option<Codec>,
    verifier: Verifier,
    expires: Instant,
    cancel: CancellationToken,
    progress: Progress<R>,
    /// The user has said that they are done, and not been told that it does not show.
    user_is_done: bool,
}

/// `Some` ends the handoff.
type Step = Result<Option<HandoffEnd>, HandoffError>;

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// Serves until the end, and says what has moved by then.
    async fn serve(&mut self) -> Result<HandoffEnd, HandoffError> {
        let end = self.serve_events().await;
        self.settle(end).await
    }

    async fn serve_events(&mut self) -> Result<HandoffEnd, HandoffError> {
        let mut bitrate = tokio::time::interval(BITRATE_INTERVAL);
        bitrate.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (finish, cancel) = (self.config.verify.finish.clone(), self.cancel.clone());
        loop {
            let browser = self.needed_browser();
            let step = tokio::select! {
                () = cancel.cancelled() => Ok(Some(HandoffEnd::Cancelled)),
                () = sleep_until(self.expires) => Ok(Some(HandoffEnd::Expired)),
                error = ended(browser.as_ref()) => Err(error.into()),
                event = self.registration.next() => self.on_signal(event).await,
                event = self.link.next() => self.on_peer(event).await,
                () = stage_changed(&mut self.stage) => self.on_view().await,
                result = self.verifier.next_result() => self.on_check_result(result).await,
                event = moving_event(&mut self.place) => self.on_moving(event).await,
                () = finish.cancelled() => Ok(Some(self.resolve(Conclusion::Agent).await)),
                _ = bitrate.tick() => {
                    if let (Some(target), Some(stage)) = (self.link.target_bitrate(), &self.stage) {
                        stage.set_bitrate(target);
                    }
                    Ok(None)
                }
            };
            if let Some(end) = step? {
                return Ok(end);
            }
        }
    }

    /// The browser without which the handoff cannot go on: in a private room that is the agent's until the
    /// claim and the room's from then on.
    fn needed_browser(&self) -> Option<Browser> {
        match (&self.stage, &self.place) {
            (Some(stage), _) => Some(stage.browser()),
            (None, Place::Private(room)) => Some(room.agent().browser.clone()),
            // One that is away is waited for.
            (None, Place::AgentBrowser | Place::Moving(_) | Place::Undecided(_)) => None,
        }
    }

    fn enter(&mut self, state: HandoffState) {
        // Where the user's connection is does not matter any more.
        let is_moving = matches!(self.place, Place::Moving(_));
        if self.progress.state() != state && !is_moving {
            if state == HandoffState::Live {
                self.verifier.begin();
            }
            self.progress.enter(state);
        }
    }

    /// The browser shows something else: the viewer is told.
    async fn on_view(&mut self) -> Step {
        if let Some(error) = self.stage.as_ref().and_then(BrowserStage::fatal) {
            return Err(error.into());
        }
        self.update_viewer().await;
        Ok(None)
    }

    async fn update_viewer(&mut self) {
        if !self.link.is_verified() {
            return;
        }
        let Some(stage) = &mut self.stage else {
            return;
        };
        for message in stage.update() {
            // Whether a page in a private room asks for a passkey is for the user alone to know.
            if !self.place.is_private()
                && matches!(&message, OutputMessage::Notice { code, .. } if code == PASSKEY_REQUIRED)
            {
                self.progress.tell(HandoffEvent::PasskeyRequired);
            }
            if !self.link.send(&message).await {
                return;
            }
        }
    }

    /// The user says that they are done.
    async fn on_done(&mut self) -> Step {
        if self.stage.is_none() {
            return Ok(None);
        }
        self.user_is_done = true;
        if !self.verifier.start_check() {
            return self.conclude(Conclusion::Unchecked).await;
        }
        // What a check finds in a private room, and that there is one, is not for the agent to know.
        if !self.place.is_private() {
            self.enter(HandoffState::Checking);
        }
        Ok(None)
    }

    /// The sign-in is over where the user was.
    async fn conclude(&mut self, conclusion: Conclusion) -> Step {
        match self.place {
            Place::Private(_) => self.carry_out().await,
            Place::AgentBrowser | Place::Moving(_) | Place::Undecided(_) => {
                Ok(Some(self.resolve(conclusion).await))
            }
        }
    }

    async fn on_check_result(&mut self, result: CheckResult) -> Step {
        let message = match self.verifier.handle(result) {
            CheckOutcome::SignedIn(finding) => {
                return self.conclude(Conclusion::Checked(finding)).await;
            }
            CheckOutcome::NotShown(message) => message,
        };
        self.user_is_done = false;
        if self.link.is_verified() {
            self.link.send(&message).await;
            if self.progress.state() == HandoffState::Checking {
                self.enter(HandoffState::Live);
            }
        } else {
            self.verifier.keep_undelivered(message);
        }
        Ok(None)
    }
}

async fn ended(browser: Option<&Browser>) -> BrowserError {
    match browser {
        Some(browser) => browser.ended().await,
        None => std::future::pending().await,
    }
}

async fn stage_changed(stage: &mut Option<BrowserStage>) {
    match stage {
        Some(stage) => stage.changed().await,
        None => std::future::pending().await,
    }
}

async fn moving_event(place: &mut Place) -> MovingEvent {
    match place {
        Place::Moving(moving) => moving.next().await,
        _ => std::future::pending().await,
    }
}
