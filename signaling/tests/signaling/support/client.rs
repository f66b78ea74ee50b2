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
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message},
};

use super::{SOON, random, unix_now};

pub struct Session {
    pub id: SessionId,
    pub token: [u8; 32],
    pub host_token: Vec<u8>,
    pub expires: u64,
}

impl Session {
    pub fn new() -> Self {
        Self::expiring_in(600)
    }

    pub fn expiring_in(seconds: u64) -> Self {
        Self {
            id: SessionId(random()),
            token: random(),
            host_token: Vec::new(),
            expires: unix_now() + seconds,
        }
    }

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
        };
        invitation.to_bytes().unwrap()
    }

    pub fn registration(&self, device: Option<&Device>) -> serde_json::Value {
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

pub struct Device(SigningKey);

impl Device {
    pub fn new() -> Self {
        Self(SigningKey::from_slice(&random::<32>()).unwrap())
    }

    pub fn public(&self) -> Vec<u8> {
        self.0
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec()
    }

    pub fn sign(&self, message: &[u8]) -> Blob {
        let signature: Signature = self.0.sign(message);
        Blob::from(signature.to_bytes().as_slice())
    }
}

/// One end of a WebSocket.
pub struct Client {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) id: Option<SessionId>,
}

impl Client {
    pub async fn send(&mut self, message: &impl Serialize) {
        self.send_text(serde_json::to_string(message).unwrap())
            .await;
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_frame(Message::text(text.into())).await;
    }

    pub async fn send_frame(&mut self, frame: Message) {
        self.socket.send(frame).await.unwrap();
    }

    pub async fn try_send_frame(&mut self, frame: Message) -> Result<(), Error> {
        self.socket.send(frame).await
    }

    pub async fn frame(&mut self) -> Message {
        loop {
            let frame = timeout(SOON, self.socket.next())
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

    pub async fn next(&mut self) -> ServerMessage {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The next message; `None` if the socket ends instead.
    pub async fn try_next(&mut self) -> Option<ServerMessage> {
        loop {
            let frame = timeout(SOON, self.socket.next())
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

    pub async fn challenge(&mut self) -> [u8; 32] {
        match self.next().await {
            ServerMessage::Challenge { nonce } => nonce.array().unwrap(),
            other => panic!("not a challenge: {other:?}"),
        }
    }

    pub async fn ice(&mut self) -> LegIce {
        match self.next().await {
            ServerMessage::Ice(ice) => {
                assert!(ice.is_well_formed());
                ice
            }
            other => panic!("not ice: {other:?}"),
        }
    }

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

    pub async fn claim(&mut self, session: &Session, device: &Device) {
        let challenge = self.challenge().await;
        self.claim_with(session, &session.token, device, &challenge)
            .await;
    }

    pub async fn claim_with(
        &mut self,
        session: &Session,
        token: &[u8],
        device: &Device,
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
    pub async fn take_over(&mut self, session: &Session, device: &Device) {
        let challenge = self.challenge().await;
        let message = claim_message(session.id, &challenge, &session.token);
        self.send(&ViewerMessage::Takeover {
            token: Blob::from(session.token),
            device: Blob::from(device.public()),
            signature: device.sign(&message),
        })
        .await;
    }

    pub async fn resume(&mut self, device: &Device) {
        let challenge = self.challenge().await;
        self.resume_with(device, &challenge).await;
    }

    pub async fn resume_with(&mut self, device: &Device, challenge: &[u8; 32]) {
        let id = self.id.unwrap();
        self.send(&ViewerMessage::Resume {
            signature: device.sign(&resume_message(id, challenge)),
        })
        .await;
    }
}
