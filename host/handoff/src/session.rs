//! The handoff's loop: one task that owns everything of the session.

mod browser_stage;
mod done_when;
mod end;
mod input;
mod keyframes;
mod signaling;
mod takeover;

use std::collections::HashSet;
use std::time::Duration;

use authloop_cdp::Browser;
use authloop_done_when::Conclusion;
use authloop_gate::Lease;
use authloop_media::peer::{PeerEvent, RTCIceConnectionState};
use authloop_protocol::{
    id::Blob,
    output::OutputMessage,
    sequence::InputSequence,
    signal::{HostMessage, LegIce},
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState, connection::Connection,
    session_secrets::SessionSecrets, viewer_state::PASSKEY_REQUIRED,
};
use crate::signal::SignalEvent;
use browser_stage::BrowserStage;
use done_when::Verifier;

/// How often the encoder is told what the network takes.
const BITRATE_INTERVAL: Duration = Duration::from_millis(200);
/// At most one ICE restart in this time.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(2);

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
    let stage = BrowserStage::open(
        &browser,
        config.expected_origins.clone(),
        config.metrics.clone(),
    )
    .await?;
    let verifier = Verifier::new(&config.verify, stage.view());
    let created = secrets.register(&config, None).await?;
    let (signal, signals) = config.server.attach(secrets.id, created.host_token.clone());
    let link = secrets.link(&config.viewer_origin);
    let expires = Instant::now() + secrets.ttl;
    let mut run = HandoffSession {
        config,
        secrets,
        browser,
        stage,
        verifier,
        token: created.host_token,
        signal,
        signals,
        report,
        state: HandoffState::Waiting,
        ice: None,
        device: None,
        lease: None,
        hellos: HashSet::new(),
        waiting_hello: None,
        connection: None,
        peer_events: None,
        sequence: None,
        restart_at: Instant::now(),
    };
    (run.report)(HandoffEvent::Link(link.to_string()));
    (run.report)(HandoffEvent::State(HandoffState::Waiting));
    let end = run.serve(expires, cancel).await;
    run.finish(&end).await;
    let opened = run.open_gate().await;
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
    browser: Browser,
    stage: BrowserStage,
    verifier: Verifier,
    token: Blob,
    signal: mpsc::Sender<HostMessage>,
    signals: mpsc::Receiver<SignalEvent>,
    report: R,
    state: HandoffState,
    /// The host's leg at the relay.
    ice: Option<LegIce>,
    /// The device that won the claim.
    device: Option<[u8; 65]>,
    /// Agents are shut out for as long as this is held.
    lease: Option<Lease>,
    /// Hellos seen, so that none is taken twice.
    hellos: HashSet<[u8; 32]>,
    /// A hello that came before the leg.
    waiting_hello: Option<Vec<u8>>,
    connection: Option<Connection>,
    peer_events: Option<mpsc::Receiver<PeerEvent>>,
    /// The viewer's input, across connections.
    sequence: Option<InputSequence>,
    restart_at: Instant,
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
        let browser = self.browser.clone();
        let ended = browser.ended();
        tokio::pin!(ended);
        let finish = self.config.verify.finish.clone();
        loop {
            let step = tokio::select! {
                () = cancel.cancelled() => Ok(Some(HandoffEnd::Cancelled)),
                () = sleep_until(expires) => Ok(Some(HandoffEnd::Expired)),
                error = &mut ended => Err(error.into()),
                event = self.signals.recv() => self.on_signal(event).await,
                event = next(&mut self.peer_events) => self.on_peer(event).await,
                () = self.stage.changed() => self.on_view().await,
                found = self.verifier.next_result() => self.on_found(found).await,
                () = finish.cancelled() => Ok(Some(self.resolve(Conclusion::Agent).await)),
                _ = bitrate.tick() => {
                    if let Some(connection) = &self.connection {
                        self.stage.set_bitrate(connection.peer.target_bitrate().get());
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
        if self.state != state {
            self.state = state;
            if state == HandoffState::Live {
                self.verifier.begin();
            }
            (self.report)(HandoffEvent::State(state));
        }
    }

    /// The browser shows something else: the viewer is told.
    async fn on_view(&mut self) -> Step {
        if let Some(error) = self.stage.fatal() {
            return Err(error.into());
        }
        self.update().await;
        Ok(None)
    }

    async fn update(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|c| c.verified) else {
            return;
        };
        for message in self.stage.update() {
            if matches!(&message, OutputMessage::Notice { code, .. } if code == PASSKEY_REQUIRED) {
                (self.report)(HandoffEvent::PasskeyRequired);
            }
            if let Err(error) = connection.send(&message).await {
                tracing::debug!(%error, "the viewer could not be told");
                return;
            }
        }
    }

    async fn say(&mut self, message: &OutputMessage) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.send(message).await
        {
            tracing::debug!(%error, "the viewer could not be told");
        }
    }

    fn ask_restart(&mut self) {
        if Instant::now() >= self.restart_at {
            self.restart_at = Instant::now() + MIN_RESTART_INTERVAL;
            self.tell(HostMessage::Restart {});
        }
    }

    fn on_ice_state(&mut self, state: RTCIceConnectionState) {
        let verified = self.connection.as_ref().is_some_and(|c| c.verified);
        match state {
            RTCIceConnectionState::Disconnected | RTCIceConnectionState::Failed => {
                if verified {
                    self.enter(HandoffState::Reconnecting);
                }
                self.ask_restart();
            }
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed if verified => {
                self.enter(HandoffState::Live);
                self.stage.refresh();
            }
            _ => {}
        }
    }
}

async fn next(events: &mut Option<mpsc::Receiver<PeerEvent>>) -> Option<PeerEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
