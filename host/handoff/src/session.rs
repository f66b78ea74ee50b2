//! The handoff's loop: one task that owns everything of the session.
//!
//! Each part has its own state and takes its own events; the loop routes what one part's event
//! means for the others.

mod browser_stage;
mod claim;
mod done_when;
mod end;
mod from_server;
mod from_viewer;
mod gate_hold;
mod peer_link;
mod progress;
mod registration;

use std::time::Duration;

use authloop_cdp::Browser;
use authloop_done_when::Conclusion;
use authloop_protocol::output::OutputMessage;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState,
    session_secrets::SessionSecrets, viewer_state::PASSKEY_REQUIRED,
};
use browser_stage::BrowserStage;
use claim::ClaimState;
use done_when::{CheckOutcome, CheckResult, Verifier};
use gate_hold::GateHold;
use peer_link::PeerLink;
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
    report: impl FnMut(HandoffEvent) + Send,
) -> Result<HandoffEnd, HandoffError> {
    let secrets = SessionSecrets::new(&config)?;
    // The browser comes first: a link that opens nothing must not be made.
    let browser = match &config.gate {
        Some(gate) => gate.browser().await?,
        None => Browser::connect(&config.cdp).await?,
    };
    let browser = BrowserStage::open(
        browser,
        config.expected_origins.clone(),
        config.metrics.clone(),
    )
    .await?;
    let verifier = Verifier::new(&config.verify, browser.view());
    let registration = Registration::create(&config, &secrets, None).await?;
    let link = secrets.link(&config.viewer_origin);
    let expires = Instant::now() + secrets.ttl;
    let mut session = HandoffSession {
        gate: GateHold::new(config.gate.clone()),
        config,
        secrets,
        registration,
        claim: ClaimState::default(),
        link: PeerLink::new(),
        browser,
        verifier,
        progress: Progress::start(report, link.to_string()),
    };
    let end = session.serve(expires, cancel).await;
    session.finish(&end).await;
    let opened = session.gate.open().await;
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

struct HandoffSession<R> {
    config: HandoffConfig,
    secrets: SessionSecrets,
    registration: Registration,
    claim: ClaimState,
    gate: GateHold,
    link: PeerLink,
    browser: BrowserStage,
    verifier: Verifier,
    progress: Progress<R>,
}

/// `Some` ends the handoff.
type Step = Result<Option<HandoffEnd>, HandoffError>;

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    async fn serve(
        &mut self,
        expires: Instant,
        cancel: CancellationToken,
    ) -> Result<HandoffEnd, HandoffError> {
        let mut bitrate = tokio::time::interval(BITRATE_INTERVAL);
        bitrate.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let browser = self.browser.browser();
        let ended = browser.ended();
        tokio::pin!(ended);
        let finish = self.config.verify.finish.clone();
        loop {
            let step = tokio::select! {
                () = cancel.cancelled() => Ok(Some(HandoffEnd::Cancelled)),
                () = sleep_until(expires) => Ok(Some(HandoffEnd::Expired)),
                error = &mut ended => Err(error.into()),
                event = self.registration.next() => self.on_signal(event).await,
                event = self.link.next() => self.on_peer(event).await,
                () = self.browser.changed() => self.on_view().await,
                result = self.verifier.next_result() => self.on_check_result(result).await,
                () = finish.cancelled() => Ok(Some(self.resolve(Conclusion::Agent).await)),
                _ = bitrate.tick() => {
                    if let Some(target) = self.link.target_bitrate() {
                        self.browser.set_bitrate(target);
                    }
                    Ok(None)
                }
            };
            if let Some(end) = step? {
                return Ok(end);
            }
        }
    }

    fn enter(&mut self, state: HandoffState) {
        if self.progress.state() != state {
            if state == HandoffState::Live {
                self.verifier.begin();
            }
            self.progress.enter(state);
        }
    }

    /// The browser shows something else: the viewer is told.
    async fn on_view(&mut self) -> Step {
        if let Some(error) = self.browser.fatal() {
            return Err(error.into());
        }
        self.update_viewer().await;
        Ok(None)
    }

    async fn update_viewer(&mut self) {
        if !self.link.is_verified() {
            return;
        }
        for message in self.browser.update() {
            if matches!(&message, OutputMessage::Notice { code, .. } if code == PASSKEY_REQUIRED) {
                self.progress.tell(HandoffEvent::PasskeyRequired);
            }
            if !self.link.send(&message).await {
                return;
            }
        }
    }

    /// The user says that they are done.
    async fn on_done(&mut self) -> Option<HandoffEnd> {
        if !self.verifier.start_check() {
            return Some(self.resolve(Conclusion::Unchecked).await);
        }
        self.enter(HandoffState::Checking);
        None
    }

    async fn on_check_result(&mut self, result: CheckResult) -> Step {
        let message = match self.verifier.handle(result) {
            CheckOutcome::SignedIn(finding) => {
                return Ok(Some(self.resolve(Conclusion::Checked(finding)).await));
            }
            CheckOutcome::NotShown(message) => message,
        };
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
