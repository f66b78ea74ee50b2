//! The way to the viewer: its hellos, the connection that answers the last one, and the input that
//! comes over it.

mod handshake;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use authloop_media::peer::{PeerEvent, RTCIceConnectionState, VideoSender};
use authloop_protocol::{
    frame::Frame,
    id::Blob,
    input::InputEvent,
    output::OutputMessage,
    quantity::Bitrate,
    seal::SealError,
    sequence::{AcceptedFrame, InputSequence},
    signal::LegIce,
};
use tokio::{sync::mpsc, time::sleep};

use crate::connection::{Connection, ConnectionError, Control};

pub(super) use handshake::{LegChange, SealedBlob};

/// At most one ICE restart in this time.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(2);
/// The last record leaves within this time, before DTLS closes.
const LAST_RECORD_DELAY: Duration = Duration::from_millis(100);

pub(super) struct PeerLink {
    /// The host's leg at the relay.
    ice: Option<LegIce>,
    /// Hellos seen, so that none is taken twice.
    hellos: HashSet<[u8; 32]>,
    /// A hello that came before the leg.
    waiting_hello: Option<Vec<u8>>,
    connection: Option<Connection>,
    events: Option<mpsc::Receiver<PeerEvent>>,
    /// The viewer's input, across connections.
    sequence: Option<InputSequence>,
    restart_at: Instant,
}

/// What the connection brings that is not for the link alone.
pub(super) enum LinkEvent {
    /// Nothing.
    Nothing,
    /// Both sides have confirmed the handshake.
    Confirmed,
    /// The user does something.
    Input(ViewerInput),
    /// The path is lost, perhaps for a while.
    PathLost,
    /// The path of a confirmed connection is there.
    PathFound,
    /// The viewer's decoder asks for a keyframe.
    KeyframeRequested,
    /// The connection is not what was agreed.
    Refused(ConnectionError),
    /// The connection is over.
    Closed,
}

/// One input event, in its turn.
pub(super) struct ViewerInput {
    pub(super) sequence: u64,
    /// The navigation that the user saw.
    pub(super) epoch: u32,
    /// `None` if the message cannot be an event.
    pub(super) event: Option<InputEvent>,
    /// When this host heard of it.
    pub(super) arrived: Instant,
}

impl PeerLink {
    pub(super) fn new() -> Self {
        Self {
            ice: None,
            hellos: HashSet::new(),
            waiting_hello: None,
            connection: None,
            events: None,
            sequence: None,
            restart_at: Instant::now(),
        }
    }

    /// Waits for what the connection brings; for ever while there is none.
    pub(super) async fn next(&mut self) -> Option<PeerEvent> {
        match &mut self.events {
            Some(events) => events.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Whether both sides have confirmed the handshake.
    pub(super) fn is_verified(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.verified)
    }

    /// Whether `device` made the connection, and both sides have confirmed it.
    pub(super) fn is_verified_for(&self, device: &Blob) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|c| c.verified && c.is_of(device))
    }

    /// Where video goes, once the viewer has answered.
    pub(super) fn video(&self) -> Option<VideoSender> {
        self.connection.as_ref().and_then(|c| c.video.clone())
    }

    /// What the network takes.
    pub(super) fn target_bitrate(&self) -> Option<Bitrate> {
        let connection = self.connection.as_ref()?;
        Some(connection.peer.target_bitrate().get())
    }

    /// Whether the server may be asked for an ICE restart; it is, then.
    pub(super) fn take_restart(&mut self) -> bool {
        let now = Instant::now();
        let may = now >= self.restart_at;
        if may {
            self.restart_at = now + MIN_RESTART_INTERVAL;
        }
        may
    }

    /// Takes what the connection brings.
    pub(super) async fn handle(&mut self, event: Option<PeerEvent>) -> LinkEvent {
        match event {
            Some(PeerEvent::Open) => self.on_open().await,
            Some(PeerEvent::Message(bytes, arrived)) => self.on_frame(&bytes, arrived).await,
            Some(PeerEvent::Ice(state)) => self.on_ice_state(state),
            Some(PeerEvent::Keyframe) => LinkEvent::KeyframeRequested,
            Some(PeerEvent::Closed) | None => LinkEvent::Closed,
        }
    }

    async fn on_open(&mut self) -> LinkEvent {
        let applied = self.applied();
        let Some(connection) = &mut self.connection else {
            return LinkEvent::Nothing;
        };
        match connection.confirm(applied).await {
            Ok(()) => LinkEvent::Nothing,
            Err(error) => LinkEvent::Refused(error),
        }
    }

    async fn on_frame(&mut self, bytes: &[u8], arrived: Instant) -> LinkEvent {
        let Some(connection) = &mut self.connection else {
            return LinkEvent::Nothing;
        };
        match connection.open_frame(bytes) {
            Ok(Frame::Input {
                sequence,
                epoch,
                more,
                body,
            }) => self.on_input(sequence, epoch, more, &body, arrived).await,
            Ok(Frame::Filler) => LinkEvent::Nothing,
            Ok(Frame::Control { body }) => self.on_control(&body).await,
            Err(error) => LinkEvent::Refused(error.into()),
        }
    }

    async fn on_input(
        &mut self,
        sequence: u64,
        epoch: u32,
        more: bool,
        body: &[u8],
        arrived: Instant,
    ) -> LinkEvent {
        let Some(input) = &mut self.sequence else {
            return LinkEvent::Nothing;
        };
        match input.accept(sequence, epoch, more, body) {
            Ok(AcceptedFrame::Message { epoch, event }) => LinkEvent::Input(ViewerInput {
                sequence,
                epoch,
                event: event.ok(),
                arrived,
            }),
            Ok(AcceptedFrame::Part) => LinkEvent::Nothing,
            Ok(AcceptedFrame::Duplicate) => {
                self.acknowledge().await;
                LinkEvent::Nothing
            }
            Err(gap) => {
                tracing::warn!(%gap, "input has a hole");
                LinkEvent::Refused(ConnectionError::Seal(SealError::Replayed))
            }
        }
    }

    async fn on_control(&mut self, body: &[u8]) -> LinkEvent {
        match serde_json::from_slice(body) {
            Ok(Control::Ping { n }) => {
                self.send(&OutputMessage::Pong { n }).await;
                LinkEvent::Nothing
            }
            Ok(Control::Confirm { transcript }) => {
                let Some(connection) = &mut self.connection else {
                    return LinkEvent::Nothing;
                };
                match connection.accept_confirm(&transcript) {
                    Ok(()) => LinkEvent::Confirmed,
                    Err(error) => LinkEvent::Refused(error),
                }
            }
            Err(_) => {
                tracing::debug!("an unknown control message was passed over");
                LinkEvent::Nothing
            }
        }
    }

    fn on_ice_state(&self, state: RTCIceConnectionState) -> LinkEvent {
        match state {
            RTCIceConnectionState::Disconnected | RTCIceConnectionState::Failed => {
                LinkEvent::PathLost
            }
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed
                if self.is_verified() =>
            {
                LinkEvent::PathFound
            }
            _ => LinkEvent::Nothing,
        }
    }

    /// Tells the viewer how far its input has been applied.
    pub(super) async fn acknowledge(&mut self) {
        let applied = self.applied();
        self.send(&OutputMessage::Ack { applied }).await;
    }

    fn applied(&self) -> u64 {
        self.sequence
            .as_ref()
            .map_or(0, |sequence| sequence.applied())
    }

    /// Sends the viewer a message; whether it could be sent.
    pub(super) async fn send(&mut self, message: &OutputMessage) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let sent = connection.send(message).await;
        if let Err(error) = &sent {
            tracing::debug!(%error, "the viewer could not be told");
        }
        sent.is_ok()
    }

    /// Lets go of the connection, if there is one.
    pub(super) fn disconnect(&mut self) {
        self.events = None;
        if let Some(connection) = self.connection.take() {
            // Closing waits for the library's driver; the next connection must not.
            tokio::spawn(async move { connection.peer.close().await });
        }
    }

    /// Closes the connection once its last record has left.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            sleep(LAST_RECORD_DELAY).await;
            connection.peer.close().await;
        }
    }
}
