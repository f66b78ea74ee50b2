//! The two sides of a session, as far as signaling sees them.

use authloop_protocol::{
    device::{claim_message, resume_message},
    id::{Blob, SessionId, to_b64u},
    invitation::{Fingerprint, Invitation},
    signal::{LegIce, ServerMessage, SignalErrorCode, ViewerMessage},
};
use futures_util::{SinkExt as _, StreamExt as _};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::{TEST_TIMEOUT, random, unix_now};

/// A session as its host knows it.
pub struct TestSession {
    /// Its id.
    pub id: SessionId,
    /// The claim token.
    pub token: [u8; 32],
    /// The host token; empty until the session is registered.
    pub host_token: Vec<u8>,
    /// When its invitation expires, in Unix seconds.
    pub expires: u64,
}

impl std::fmt::Debug for TestSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestSession").finish_non_exhaustive()
    }
}

impl Default for TestSession {
    fn default() -> Self {
        Self::new()
    }
}

impl TestSession {
    /// A session of ten minutes, not registered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::expiring_in(600)
    }

    /// A session whose invitation expires after this many seconds.
    #[must_use]
    pub fn expiring_in(seconds: u64) -> Self {
        Self {
            id: SessionId(random()),
            token: random(),
            host_token: Vec::new(),
            expires: unix_now() + seconds,
        }
    }

    /// The invitation that its host registers.
    #[must_use]
    pub fn invitation(&self) -> Vec<u8> {
        let invitation = Invitation {
            v: 1,
            id: self.id,
            hpke: Blob::from([4; 65]),
            fingerprint: Fingerprint::of_certificate(b"certificate"),
            requester: "tests".to_owned(),
            reason: "testing".to_owned(),
            origins: vec!["https://site.example".to_owned()],
            expires: self.expires,
            room: None,
        };
        invitation.to_bytes().unwrap()
    }

    /// The body of the request that registers it, claimed by `device` if there is one.
    #[must_use]
    pub fn registration(&self, device: Option<&TestDevice>) -> serde_json::Value {
        let mut body = serde_json::json!({
            "id": self.id,
            "invitation": to_b64u(&self.invitation()),
            "claim_hash": to_b64u(&Sha256::digest(self.token)),
        });
        if let Some(device) = device {
            body["device"] = to_b64u(&device.public()).into();
        }
        body
    }
}

/// A viewer's key.
pub struct TestDevice(SigningKey);

impl std::fmt::Debug for TestDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestDevice").finish_non_exhaustive()
    }
}

impl Default for TestDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl TestDevice {
    /// A fresh key.
    #[must_use]
    pub fn new() -> Self {
        Self(SigningKey::from_slice(&random::<32>()).unwrap())
    }

    /// The public key, as messages name it.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.0
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec()
    }

    /// A commitment of its own, as one that asks for a session makes it.
    #[must_use]
    pub fn commitment(&self) -> Blob {
        Blob::from(Sha256::digest(self.public()).as_slice())
    }

    /// A signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Blob {
        let signature: Signature = self.0.sign(message);
        Blob::from(signature.to_bytes().as_slice())
    }
}

/// One end of a WebSocket.
pub struct TestClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: Option<SessionId>,
}

impl std::fmt::Debug for TestClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestClient").finish_non_exhaustive()
    }
}

impl TestClient {
    /// Opens a socket; `id` is the session's, where it has one.
    ///
    /// # Errors
    /// When the server does not upgrade the connection.
    pub async fn connect(
        request: impl IntoClientRequest + Unpin,
        id: Option<SessionId>,
    ) -> Result<Self, Error> {
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket, id })
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &impl Serialize) {
        self.send_text(serde_json::to_string(message).unwrap())
            .await;
    }

    /// Sends text, whether it is a message or not.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_frame(Message::text(text.into())).await;
    }

    /// Sends a frame of any kind.
    pub async fn send_frame(&mut self, frame: Message) {
        self.socket.send(frame).await.unwrap();
    }

    /// Sends a frame of any kind, to a server that may have closed the socket.
    ///
    /// # Errors
    /// When it has.
    pub async fn try_send_frame(&mut self, frame: Message) -> Result<(), Error> {
        self.socket.send(frame).await
    }

    /// The next frame that is neither a ping nor a pong.
    pub async fn frame(&mut self) -> Message {
        // One deadline for all: a server that pings and says nothing else must not be waited for.
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            let frame = timeout_at(deadline, self.socket.next())
                .await
                .expect("nothing came");
            match frame
                .expect("the socket ended without a close frame")
                .unwrap()
            {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return frame,
            }
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> ServerMessage {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The next message; `None` if the socket ends instead.
    pub async fn try_next(&mut self) -> Option<ServerMessage> {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            let frame = timeout_at(deadline, self.socket.next())
                .await
                .expect("nothing came");
            match frame?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Ping(_) | Message::Pong(_) => {}
                _ => return None,
            }
        }
    }

    /// The challenge; `None` if the socket ends instead.
    pub async fn try_challenge(&mut self) -> Option<[u8; 32]> {
        match self.try_next().await? {
            ServerMessage::Challenge { nonce } => nonce.array(),
            _ => None,
        }
    }

    /// The challenge, with which every socket begins.
    pub async fn challenge(&mut self) -> [u8; 32] {
        match self.next().await {
            ServerMessage::Challenge { nonce } => nonce.array().unwrap(),
            other => panic!("not a challenge: {other:?}"),
        }
    }

    /// The next message, which must bring ICE parameters.
    pub async fn ice(&mut self) -> LegIce {
        match self.next().await {
            ServerMessage::Ice(ice) => {
                assert!(ice.is_well_formed());
                ice
            }
            other => panic!("not ice: {other:?}"),
        }
    }

    /// The next message, which must be a sealed blob.
    pub async fn sealed(&mut self) -> Vec<u8> {
        match self.next().await {
            ServerMessage::Sealed { data } => data.0,
            other => panic!("not sealed: {other:?}"),
        }
    }

    /// The error and the close code that end the socket.
    pub async fn refused(&mut self) -> (SignalErrorCode, u16) {
        loop {
            match self.next().await {
                ServerMessage::Error { code, message } => {
                    assert!(!message.is_empty());
                    return (code, self.closed().await);
                }
                ServerMessage::Sealed { .. } => {}
                other => panic!("not an error: {other:?}"),
            }
        }
    }

    /// The close code; messages that come before it are passed over.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.frame().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Text(_) => {}
                other => panic!("not a close: {other:?}"),
            }
        }
    }

    /// Takes the challenge and claims as `device`.
    pub async fn claim(&mut self, session: &TestSession, device: &TestDevice) {
        let challenge = self.challenge().await;
        self.claim_with(session, &session.token, device, &challenge)
            .await;
    }

    /// Claims with a token and a challenge that may be wrong.
    pub async fn claim_with(
        &mut self,
        session: &TestSession,
        token: &[u8],
        device: &TestDevice,
        challenge: &[u8; 32],
    ) {
        self.send(&ViewerMessage::Claim {
            token: Blob::from(token),
            device: Blob::from(device.public()),
            signature: device.sign(&claim_message(session.id, challenge, token)),
        })
        .await;
    }

    /// Asks for a session that another device has.
    pub async fn take_over(&mut self, session: &TestSession, device: &TestDevice) {
        let challenge = self.challenge().await;
        let message = claim_message(session.id, &challenge, &session.token);
        self.send(&ViewerMessage::Takeover {
            token: Blob::from(session.token),
            device: Blob::from(device.public()),
            signature: device.sign(&message),
            commitment: device.commitment(),
        })
        .await;
    }

    /// Takes the challenge and comes back as `device`.
    pub async fn resume(&mut self, device: &TestDevice) {
        let challenge = self.challenge().await;
        self.resume_with(device, &challenge).await;
    }

    /// Comes back with a challenge that may be wrong.
    pub async fn resume_with(&mut self, device: &TestDevice, challenge: &[u8; 32]) {
        let id = self.id.unwrap();
        self.send(&ViewerMessage::Resume {
            signature: device.sign(&resume_message(id, challenge)),
        })
        .await;
    }
}
