//! The handoff's loop: one task that owns everything of the session.

mod hand_over;
mod input;
mod keyframes;
mod stage;
mod verdict;

use std::collections::HashSet;
use std::time::Duration;

use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    input::DeclineReason,
    output::OutputMessage,
    seal::{BlobKind, SealedSignal, blob_kind, open_hello},
    sequence::InputSequence,
    signal::{HostMessage, LegIce, Outcome, ServerMessage},
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use webrtc::peer_connection::RTCIceConnectionState;

use super::{
    HandoffConfig, HandoffEnd, HandoffError, HandoffEvent, HandoffState,
    connection::{Connection, ConnectionError},
    invite::Invite,
};
use crate::{
    browser::Browser, gate::GateError, peer::PeerEvent, signal::SignalEvent, storage::StorageState,
    verdict::Conclusion,
};
use stage::Stage;
use verdict::Verifier;

/// Hellos that one session may make; each costs an HPKE opening and a peer connection.
const MAX_HELLOS: usize = 256;
/// How often the encoder is told what the network takes.
const BITRATE_TICK: Duration = Duration::from_millis(500);
/// At most one ICE restart in this time.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// How long the last message may take to reach the viewer, who waits for it on screen.
const FAREWELL: Duration = Duration::from_millis(800);

/// Carries one handoff through. `report` is told of the link and of each state.
///
/// # Errors
/// [`HandoffError`]; the session is ended at the server and the user is told.
pub async fn run(
    config: HandoffConfig,
    cancel: CancellationToken,
    report: impl FnMut(HandoffEvent) + Send,
) -> Result<HandoffEnd, HandoffError> {
    let invite = Invite::new(&config)?;
    // The browser comes first: a link that opens nothing must not be made.
    let browser = match &config.gate {
        Some(gate) => gate.browser().await?,
        None => Browser::connect(&config.cdp).await?,
    };
    let stage = Stage::open(&browser, config.expected_origins.clone()).await?;
    let verifier = Verifier::new(&config.verify, stage.view());
    let created = invite.register(&config, None).await?;
    let (signal, signals) = config.server.attach(invite.id, created.host_token.clone());
    let link = invite.link(&config.viewer_origin);
    let expires = Instant::now() + invite.ttl;
    let mut run = Run {
        config,
        invite,
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
        gate_closed: false,
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

struct Run<R> {
    config: HandoffConfig,
    invite: Invite,
    browser: Browser,
    stage: Stage,
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
    /// Agents are shut out, and must be let in again.
    gate_closed: bool,
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

impl<R: FnMut(HandoffEvent) + Send> Run<R> {
    async fn serve(
        &mut self,
        expires: Instant,
        cancel: CancellationToken,
    ) -> Result<HandoffEnd, HandoffError> {
        let mut bitrate = tokio::time::interval(BITRATE_TICK);
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
                found = self.verifier.found() => self.on_found(found).await,
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

    async fn on_signal(&mut self, event: Option<SignalEvent>) -> Step {
        match event {
            Some(SignalEvent::Message(message)) => self.on_message(message).await,
            Some(SignalEvent::Down) => Ok(None),
            Some(SignalEvent::Forgotten) => {
                // The server restarted without its memory: the same session again, for the same link.
                let device = self.device;
                let created = self.invite.register(&self.config, device.as_ref()).await?;
                self.token = created.host_token.clone();
                (self.signal, self.signals) = self
                    .config
                    .server
                    .attach(self.invite.id, created.host_token);
                Ok(None)
            }
            Some(SignalEvent::Closed { code, message }) => {
                Err(HandoffError::Closed { code, message })
            }
            None => Err(HandoffError::Closed {
                code: "internal".to_owned(),
                message: "the signaling task ended".to_owned(),
            }),
        }
    }

    async fn on_message(&mut self, message: ServerMessage) -> Step {
        match message {
            ServerMessage::Welcome { device, .. } => {
                if let Some(device) = device {
                    self.on_claimed(&device).await?;
                    self.tell_holder(&device);
                }
            }
            ServerMessage::Claimed { device } => self.on_claimed(&device).await?,
            ServerMessage::SecondClaim {} => (self.report)(HandoffEvent::SecondClaim),
            ServerMessage::Ice(ice) => self.on_ice(ice).await,
            ServerMessage::Sealed { data } => return Ok(self.on_sealed(data.0).await),
            ServerMessage::Ended { outcome } => {
                return Ok(Some(match outcome {
                    Outcome::Expired => HandoffEnd::Expired,
                    Outcome::Cancelled | Outcome::Resolved | Outcome::Failed => {
                        HandoffEnd::Cancelled
                    }
                    Outcome::Declined => HandoffEnd::Declined(DeclineReason::Declined),
                }));
            }
            ServerMessage::Peer { .. }
            | ServerMessage::Takeover { .. }
            | ServerMessage::Waiting {}
            | ServerMessage::Challenge { .. }
            | ServerMessage::Error { .. } => {}
        }
        Ok(None)
    }

    /// The first claim counts; a server that later names another device is not believed.
    ///
    /// Agents are shut out before the loop goes on to the viewer's hello.
    async fn on_claimed(&mut self, device: &Blob) -> Result<(), GateError> {
        let parsed = DeviceKey::parse(&device.0).map(|key| *key.as_bytes());
        match (self.device, parsed) {
            (None, Some(device)) => {
                self.device = Some(device);
                self.enter(HandoffState::Claimed);
                if let Some(gate) = &self.config.gate {
                    let closed = gate.close(&self.invite.id.to_string()).await;
                    self.gate_closed = !matches!(closed, Err(GateError::Taken));
                    closed?;
                }
            }
            (Some(held), Some(other)) if held == other => {}
            _ => tracing::warn!("signaling names another device than the one that claimed"),
        }
        Ok(())
    }

    async fn open_gate(&mut self) -> Result<(), GateError> {
        match &self.config.gate {
            Some(gate) if std::mem::take(&mut self.gate_closed) => gate.open().await,
            _ => Ok(()),
        }
    }

    async fn on_ice(&mut self, ice: LegIce) {
        if !ice.is_well_formed() {
            tracing::warn!("signaling sent malformed ICE parameters; they are not used");
            return;
        }
        let new = self.ice.as_ref() != Some(&ice);
        self.ice = Some(ice.clone());
        if let Some(blob) = self.waiting_hello.take() {
            self.on_hello(&blob).await;
        } else if new && let Some(connection) = &self.connection {
            match connection.peer.restart(&ice).await {
                Ok(()) => self.send_credentials().await,
                Err(error) => tracing::warn!(%error, "the ICE restart failed"),
            }
        }
    }

    async fn send_credentials(&self) {
        let Some(connection) = &self.connection else {
            return;
        };
        match connection.peer.credentials().await {
            Ok((ufrag, pwd)) => self.tell(HostMessage::IceLocal { ufrag, pwd }),
            Err(error) => tracing::warn!(%error, "no ICE credentials to tell"),
        }
    }

    /// Queues a message for the server; a full queue means that it is away, and what matters is
    /// said again when it is back.
    fn tell(&self, message: HostMessage) {
        if self.signal.try_send(message).is_err() {
            tracing::debug!("a signaling message was dropped");
        }
    }

    async fn on_sealed(&mut self, blob: Vec<u8>) -> Option<HandoffEnd> {
        match blob_kind(&blob) {
            Some(BlobKind::Hello) if self.ice.is_some() => {
                self.on_hello(&blob).await;
                None
            }
            Some(BlobKind::Hello) => {
                self.waiting_hello = Some(blob);
                None
            }
            Some(BlobKind::Record(hello)) => self.on_record(hello, &blob).await,
            None => {
                tracing::warn!("a blob of neither kind is refused");
                None
            }
        }
    }

    async fn on_hello(&mut self, blob: &[u8]) {
        let (hello, keys) = match open_hello(&self.invite.context, &self.invite.host, blob) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "a hello is refused");
                return;
            }
        };
        if self.device.map(Blob::from).as_ref() != Some(&hello.device) {
            tracing::warn!("a hello of another device than the claimed one is refused");
            return;
        }
        if self.hellos.len() >= MAX_HELLOS || !self.hellos.insert(keys.hello_hash) {
            tracing::warn!("a replayed or excessive hello is refused");
            return;
        }
        let (Some(ice), Some(stream)) = (self.ice.clone(), hello.stream.array::<16>()) else {
            return;
        };
        self.drop_connection().await;
        self.sequence
            .get_or_insert_with(|| InputSequence::new(stream))
            .resume(stream);
        let offered =
            Connection::offer(self.invite.id, &hello, keys, &self.invite.certificate, &ice).await;
        match offered {
            Ok((connection, events, offer)) => {
                self.connection = Some(connection);
                self.peer_events = Some(events);
                self.enter(HandoffState::Connecting);
                self.tell(HostMessage::Sealed { data: Blob(offer) });
                self.send_credentials().await;
            }
            Err(error) => tracing::warn!(%error, "the hello could not be answered"),
        }
    }

    async fn on_record(&mut self, hello: [u8; 8], blob: &[u8]) -> Option<HandoffEnd> {
        let connection = self.connection.as_mut()?;
        if connection.hello() != hello {
            tracing::debug!("a record of another hello is passed over");
            return None;
        }
        match connection.open(blob) {
            Ok(SealedSignal::Answer { sdp }) => {
                let ice = self.ice.clone()?;
                match connection.accept(sdp, &ice).await {
                    Ok(codec) => {
                        if let Err(error) = self.stage.start(codec) {
                            tracing::error!(%error, "no video");
                        }
                    }
                    Err(error) => self.give_up(&error).await,
                }
                None
            }
            Ok(SealedSignal::Decline { reason }) => Some(HandoffEnd::Declined(reason)),
            Ok(other) => {
                tracing::warn!(?other, "the viewer may not say this");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a record is refused");
                None
            }
        }
    }

    /// The connection is not what was agreed: nothing more of it is taken, and the viewer is told.
    async fn give_up(&mut self, error: &ConnectionError) {
        tracing::warn!(%error, "the connection is refused");
        if let Some(connection) = &mut self.connection {
            let refuse = SealedSignal::Refuse {
                code: "refused".to_owned(),
                message: error.to_string(),
            };
            if let Ok(blob) = connection.seal(&refuse) {
                self.tell(HostMessage::Sealed { data: Blob(blob) });
            }
        }
        self.drop_connection().await;
    }

    async fn drop_connection(&mut self) {
        self.stage.pause().await;
        self.peer_events = None;
        if let Some(connection) = self.connection.take() {
            // Closing waits for the library's driver; the next connection must not.
            tokio::spawn(async move { connection.peer.close().await });
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
            self.restart_at = Instant::now() + RESTART_PAUSE;
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

    async fn resolve(&mut self, conclusion: Conclusion) -> HandoffEnd {
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
    async fn finish(&mut self, end: &Result<HandoffEnd, HandoffError>) {
        let (outcome, message) = match end {
            Ok(HandoffEnd::Resolved { .. }) => (Outcome::Resolved, "You are signed in."),
            Ok(HandoffEnd::Declined(_)) => (Outcome::Declined, "You declined."),
            Ok(HandoffEnd::Expired) => (Outcome::Expired, "The time for this ran out."),
            Ok(HandoffEnd::Cancelled) => (Outcome::Cancelled, "The agent withdrew the request."),
            Err(_) => (Outcome::Failed, "The remote browser is gone."),
        };
        self.stage.pause().await;
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
        if tokio::time::timeout(FAREWELL, goodbye).await.is_err() {
            // The socket is not up; the session must not outlive us at the server.
            let deleted = self.config.server.delete(self.invite.id, &self.token);
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

async fn next(events: &mut Option<mpsc::Receiver<PeerEvent>>) -> Option<PeerEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
