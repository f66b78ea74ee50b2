//! One WebSocket, from the challenge to the close (`docs/PROTOCOL.md` section 5).

mod close;

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    signal::{HostMessage, MAX_MESSAGE_BYTES, ServerMessage, SignalErrorCode, ViewerMessage},
};
use axum::extract::{
    WebSocketUpgrade,
    ws::{Message, Utf8Bytes, WebSocket},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::{Instant, interval_at, timeout};

use crate::{
    cluster::SessionHandle,
    limits::ClientAddr,
    observer::SignalingEvent,
    outbox::{self, Closing, OutboxReceiver, OutgoingFrame},
    refusal::{Refusal, explain},
    registry::{Identity, parse, take_commitment},
    relay::Side,
    secret::{random, take_hash},
    service::Signaling,
    session::ClaimRequest,
    settings::SocketSettings,
};
use close::{SocketEnd, close_frame, library_error, refuse, refuse_with, text};

/// Past this the library refuses a message; up to it the message is read and refused politely.
const MAX_READ_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
/// The library's default of 128 KiB for each socket would be most of its memory.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that may wait for the client beside its outbox: the library's default has no bound, and each
/// ping of a client that does not read adds a pong. It keeps one message, and further pongs are dropped.
const MAX_WRITE_BUFFER_BYTES: usize = MAX_READ_BYTES;
/// Control frames (RFC 6455 section 5.5) that a client may send before it has said who it is.
const MAX_EARLY_CONTROL_FRAMES: usize = 8;

pub(crate) fn configure(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_READ_BYTES)
        .max_frame_size(MAX_READ_BYTES)
}

/// Serves one socket until it has closed.
pub(crate) async fn serve(
    signaling: &Signaling,
    side: Side,
    id: Option<SessionId>,
    client: ClientAddr,
    web_socket: WebSocket,
) {
    let _open = OpenSocketGuard::new(signaling, side);
    let mut socket = Socket {
        signaling,
        settings: &signaling.settings().sockets,
        side,
        web_socket,
        broken: false,
    };
    let end = match socket.identify(id, client).await {
        Ok(client) => socket.converse(client).await,
        Err(end) => end,
    };
    socket.finish(end).await;
}

struct Socket<'a> {
    signaling: &'a Signaling,
    settings: &'a SocketSettings,
    side: Side,
    web_socket: WebSocket,
    /// The library will not read on after an error of its own.
    broken: bool,
}

struct AttachedClient {
    handle: SessionHandle,
    outbox_rx: OutboxReceiver,
}

impl Socket<'_> {
    /// Challenges the client and lets it prove who it is.
    async fn identify(
        &mut self,
        id: Option<SessionId>,
        client: ClientAddr,
    ) -> Result<AttachedClient, SocketEnd> {
        let id = id.ok_or_else(|| refuse(SignalErrorCode::NotFound))?;
        let credentials = self.signaling.directory().credentials(id).await;
        if credentials.map_err(refuse)?.outcome.is_some() {
            return Err(refuse(SignalErrorCode::Ended));
        }
        let challenge: [u8; 32] = random().map_err(|_| refuse(SignalErrorCode::Internal))?;
        let nonce = ServerMessage::Challenge {
            nonce: Blob::from(challenge),
        };
        let first_message_timeout = self.settings.first_message_timeout;
        let signaling = self.signaling;
        let first = async {
            self.write(text(&nonce)?).await?;
            self.read().await
        };
        let first = tokio::select! {
            () = signaling.draining() => return Err(SocketEnd::Close(Closing::Restart)),
            first = timeout(first_message_timeout, first) => first.unwrap_or_else(|_| {
                Err(refuse_with((SignalErrorCode::Timeout, "the first message did not come in time")))
            })?,
        };
        let identity = match self.side {
            Side::Host => host(parse(&first).map_err(refuse_with)?),
            Side::Viewer => {
                let first = parse(&first).map_err(refuse_with)?;
                viewer(self.signaling, id, client, &challenge, first).await
            }
        }
        .map_err(refuse_with)?;
        let (outbox, outbox_rx) = outbox::channel(
            self.settings.max_queued_messages,
            self.signaling.queued_bytes(),
        );
        let handle = self.signaling.directory().enter(id, identity, outbox);
        let handle = handle.await.map_err(refuse)?;
        Ok(AttachedClient { handle, outbox_rx })
    }

    /// Passes messages both ways until one end closes.
    async fn converse(&mut self, client: AttachedClient) -> SocketEnd {
        let AttachedClient {
            handle,
            mut outbox_rx,
        } = client;
        let signaling = self.signaling;
        let every = self.settings.ping_interval;
        let mut ping = interval_at(Instant::now() + every, every);
        let mut heard = Instant::now();
        let rate = Quota::per_second(self.settings.messages_per_second)
            .allow_burst(self.settings.message_burst);
        let rate: DefaultDirectRateLimiter = RateLimiter::direct(rate);
        loop {
            let step = tokio::select! {
                () = signaling.draining() => Err(SocketEnd::Close(Closing::Restart)),
                outgoing = outbox_rx.next() => match outgoing {
                    OutgoingFrame::Text(text) => self.write_unless_cut(Message::Text(text), &outbox_rx).await,
                    OutgoingFrame::Close(closing) => Err(SocketEnd::Close(closing)),
                },
                frame = self.web_socket.recv() => {
                    heard = Instant::now();
                    match self.accept(frame) {
                        // Control frames are answered, so they count as much as messages.
                        Ok(_) if rate.check().is_err() => {
                            Err(refuse(SignalErrorCode::RateLimited))
                        }
                        Ok(None) => Ok(()),
                        Ok(Some(text)) => handle.handle_message(self.side, &text).await.map_err(SocketEnd::Close),
                        Err(end) => Err(end),
                    }
                },
                _ = ping.tick() => {
                    if heard.elapsed() > every * 2 {
                        Err(SocketEnd::Gone)
                    } else {
                        self.write_unless_cut(Message::Ping(Default::default()), &outbox_rx).await
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// The first text, passing over a few pings.
    async fn read(&mut self) -> Result<Utf8Bytes, SocketEnd> {
        for _ in 0..=MAX_EARLY_CONTROL_FRAMES {
            let frame = self.web_socket.recv().await;
            if let Some(text) = self.accept(frame)? {
                return Ok(text);
            }
        }
        Err(refuse(SignalErrorCode::RateLimited))
    }

    fn accept(
        &mut self,
        frame: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<Utf8Bytes>, SocketEnd> {
        match frame {
            None | Some(Ok(Message::Close(_))) => Err(SocketEnd::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Text(text))) if text.len() > MAX_MESSAGE_BYTES => {
                Err(refuse(SignalErrorCode::TooLarge))
            }
            Some(Ok(Message::Text(text))) => Ok(Some(text)),
            Some(Ok(Message::Binary(_))) => Err(refuse_with((
                SignalErrorCode::Malformed,
                "messages are text, not binary",
            ))),
            Some(Err(error)) => {
                self.broken = true;
                Err(library_error(error))
            }
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), SocketEnd> {
        match timeout(self.settings.write_timeout, self.web_socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SocketEnd::Gone),
            Err(_) => Err(refuse_with((
                SignalErrorCode::Timeout,
                "the client reads too slowly",
            ))),
        }
    }

    async fn write_unless_cut(
        &mut self,
        message: Message,
        outbox_rx: &OutboxReceiver,
    ) -> Result<(), SocketEnd> {
        tokio::select! {
            biased;
            closing = outbox_rx.cut() => Err(SocketEnd::Close(closing)),
            written = self.write(message) => written,
        }
    }

    /// Says why, closes, and waits a little for the client's half of the handshake: closing a TCP
    /// connection over unread bytes resets it, and the client would never hear why.
    async fn finish(mut self, end: SocketEnd) {
        let (frame, error) = match end {
            SocketEnd::Gone => (None, None),
            SocketEnd::Close(Closing::Normal) => (Some(close_frame(1000, "ended")), None),
            SocketEnd::Close(Closing::Restart) => (
                Some(close_frame(1012, "the server is going down; connect again")),
                None,
            ),
            SocketEnd::Close(Closing::Error(code, message)) => {
                self.signaling.observe(SignalingEvent::SocketRejected {
                    side: self.side,
                    code,
                });
                let error = ServerMessage::Error {
                    code,
                    message: message.to_owned(),
                };
                (
                    Some(close_frame(code.close_code(), message)),
                    text(&error).ok(),
                )
            }
        };
        let lingers = self.broken && frame.is_some();
        let wait = self.settings.close_timeout;
        let handshake = async {
            for message in error
                .into_iter()
                .chain(frame.map(|frame| Message::Close(Some(frame))))
            {
                if self.web_socket.send(message).await.is_err() {
                    return;
                }
            }
            while let Some(Ok(_)) = self.web_socket.recv().await {}
            if lingers {
                tokio::time::sleep(wait).await;
            }
        };
        let _ = timeout(wait, handshake).await;
    }
}

/// Who the host is; its token is checked where the session is.
fn host(first: HostMessage) -> Result<Identity, Refusal> {
    let HostMessage::Attach { host_token } = first else {
        return Err((
            SignalErrorCode::Malformed,
            "the first message must be `attach`",
        ));
    };
    Ok(Identity::Host {
        token: take_hash(host_token),
    })
}

/// Who the viewer is, once its signature is checked.
async fn viewer(
    signaling: &Signaling,
    id: SessionId,
    client: ClientAddr,
    challenge: &[u8; 32],
    first: ViewerMessage,
) -> Result<Identity, Refusal> {
    if signaling.limits().claim(client).is_err() {
        return Err(explain(SignalErrorCode::RateLimited));
    }
    let credentials = signaling.directory().credentials(id).await;
    let credentials = credentials.map_err(explain)?;
    let unauthorized = || explain(SignalErrorCode::Unauthorized);
    let request = match &first {
        ViewerMessage::Takeover { commitment, .. } => {
            ClaimRequest::TakeOver(take_commitment(commitment)?)
        }
        _ => ClaimRequest::Claim,
    };
    match first {
        ViewerMessage::Claim {
            token,
            device,
            signature,
        }
        | ViewerMessage::Takeover {
            token,
            device,
            signature,
            ..
        } => {
            let device = DeviceKey::parse(&device.0)
                .ok_or((SignalErrorCode::Malformed, "`device` is not a P-256 point"))?;
            let token_bytes = zeroize::Zeroizing::new(token.0);
            let token = SecretHash::of(&token_bytes);
            // The signature is the dearer of the two to check.
            let proved = credentials.claim_hash.matches(&token)
                && device.verify_claim(id, challenge, &token_bytes, &signature.0);
            if proved {
                Ok(Identity::Claim {
                    token,
                    device,
                    request,
                })
            } else {
                Err(unauthorized())
            }
        }
        ViewerMessage::Resume { signature } => credentials
            .device
            .filter(|device| device.verify_resume(id, challenge, &signature.0))
            .map(|device| Identity::Resume { device })
            .ok_or_else(unauthorized),
        ViewerMessage::Sealed { .. }
        | ViewerMessage::IceLocal { .. }
        | ViewerMessage::TakeoverNonce { .. }
        | ViewerMessage::TakeoverOpen { .. }
        | ViewerMessage::TakeoverRefuse { .. }
        | ViewerMessage::FirstFrame {}
        | ViewerMessage::Restart {} => Err((
            SignalErrorCode::Malformed,
            "the first message must be `claim`, `takeover` or `resume`",
        )),
    }
}

/// Reports a socket as open for as long as it lives.
struct OpenSocketGuard<'a> {
    signaling: &'a Signaling,
    side: Side,
}

impl<'a> OpenSocketGuard<'a> {
    fn new(signaling: &'a Signaling, side: Side) -> Self {
        signaling.observe(SignalingEvent::SocketOpened(side));
        Self { signaling, side }
    }
}

impl Drop for OpenSocketGuard<'_> {
    fn drop(&mut self) {
        self.signaling
            .observe(SignalingEvent::SocketClosed(self.side));
    }
}
