//! A server on a free port, a relay that takes notes, and clients that say what they are told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use authloop_protocol::{
    device::{claim_message, resume_message},
    id::{Blob, SessionId, to_b64u},
    invitation::{Fingerprint, Invitation},
    signal::{HostMessage, LegIce, ServerMessage, SessionCreated, SignalErrorCode, ViewerMessage},
};
use authloop_signaling::{
    Event, LegParameters, Legs, Observer, Relay, RelayError, Settings, Side, Signaling, Viewer,
};
use futures_util::{SinkExt as _, StreamExt as _};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

/// Past this a test has failed; nothing waits for it to pass.
pub const SOON: Duration = Duration::from_secs(20);

/// What the fake relay was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Open(SessionId),
    Restart(SessionId, Side),
    SetRemote(SessionId, Side, String, String),
    Close(SessionId),
}

pub struct FakeRelay {
    told: mpsc::UnboundedSender<Told>,
    pub fails: AtomicBool,
    pub forgets: AtomicBool,
    credentials: AtomicU32,
}

impl FakeRelay {
    fn leg(&self) -> LegParameters {
        let number = self.credentials.fetch_add(1, Ordering::Relaxed);
        LegParameters {
            ufrag: format!("ufrag{number:011}"),
            pwd: format!("pwd{number:021}"),
            candidates: vec![([127, 0, 0, 1], 3478).into()],
        }
    }
}

#[async_trait]
impl Relay for FakeRelay {
    async fn open(&self, id: SessionId) -> Result<Legs, RelayError> {
        let _ = self.told.send(Told::Open(id));
        if self.fails.load(Ordering::Relaxed) {
            return Err(RelayError::Stopped);
        }
        Ok(Legs {
            host: self.leg(),
            viewer: self.leg(),
        })
    }

    async fn restart(&self, id: SessionId, side: Side) -> Result<LegParameters, RelayError> {
        let _ = self.told.send(Told::Restart(id, side));
        if self.forgets.load(Ordering::Relaxed) {
            return Err(RelayError::Unknown);
        }
        Ok(self.leg())
    }

    async fn set_remote(&self, id: SessionId, side: Side, ufrag: String, pwd: String) {
        let _ = self.told.send(Told::SetRemote(id, side, ufrag, pwd));
    }

    async fn close(&self, id: SessionId) {
        let _ = self.told.send(Told::Close(id));
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<Event>>);

impl Observer for Notes {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub signaling: Signaling,
    pub relay: Arc<FakeRelay>,
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Told>>,
    notes: Arc<Notes>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_viewer(change, Viewer::Embedded).await
    }

    pub async fn with_viewer(change: impl FnOnce(&mut Settings), viewer: Viewer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = Settings::new(format!("http://{address}").parse().unwrap());
        change(&mut settings);
        let (sender, told) = mpsc::unbounded_channel();
        let relay = Arc::new(FakeRelay {
            told: sender,
            fails: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
            credentials: AtomicU32::new(0),
        });
        let notes = Arc::new(Notes::default());
        let signaling = Signaling::new(settings, viewer, relay.clone(), notes.clone());
        let service = signaling
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            address,
            signaling,
            relay,
            told: tokio::sync::Mutex::new(told),
            notes,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next thing the relay is told.
    pub async fn told(&self) -> Told {
        let mut told = self.told.lock().await;
        timeout(SOON, told.recv())
            .await
            .expect("the relay was told nothing")
            .unwrap()
    }

    pub fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.notes
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| matches(event))
            .count()
    }

    pub async fn create(&self, body: &impl Serialize) -> reqwest::Response {
        let request = http().post(self.url("/v1/sessions")).json(body);
        request.send().await.unwrap()
    }

    /// Registers a new session.
    pub async fn session(&self) -> Session {
        let session = Session::new();
        self.register(session, None).await
    }

    pub async fn register(&self, mut session: Session, device: Option<&Device>) -> Session {
        let response = self.create(&session.registration(device)).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        let created: SessionCreated = response.json().await.unwrap();
        session.host_token = created.host_token.0;
        session
    }

    pub async fn socket(
        &self,
        id: &str,
        side: &str,
        origin: Option<&str>,
    ) -> Result<Client, Error> {
        let url = format!("ws://{}/v1/sessions/{id}/{side}", self.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Client {
            socket,
            id: SessionId::parse(id),
        })
    }

    pub async fn host_socket(&self, id: SessionId) -> Client {
        self.socket(&id.to_string(), "host", None).await.unwrap()
    }

    pub async fn viewer_socket(&self, id: SessionId) -> Client {
        let origin = format!("http://{}", self.address);
        self.socket(&id.to_string(), "viewer", Some(&origin))
            .await
            .unwrap()
    }

    /// Attaches a host and takes its welcome.
    pub async fn host(&self, session: &Session) -> Client {
        let mut host = self.host_socket(session.id).await;
        host.challenge().await;
        host.send(&HostMessage::Attach {
            host_token: Blob::from(&session.host_token),
        })
        .await;
        assert!(matches!(host.next().await, ServerMessage::Welcome { .. }));
        host
    }

    /// Claims as `device` and takes its welcome.
    pub async fn viewer(&self, session: &Session, device: &Device) -> Client {
        let mut viewer = self.viewer_socket(session.id).await;
        viewer.claim(session, device).await;
        assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
        viewer
    }

    /// A session with both sides attached and all that the beginning brings taken.
    pub async fn handoff(&self) -> (Session, Device, Client, Client) {
        let (session, device) = (self.session().await, Device::new());
        let mut host = self.host(&session).await;
        let mut viewer = self.viewer(&session, &device).await;
        viewer.ice().await;
        assert!(matches!(host.next().await, ServerMessage::Claimed { .. }));
        assert!(matches!(
            host.next().await,
            ServerMessage::Peer { present: true }
        ));
        host.ice().await;
        assert_eq!(self.told().await, Told::Open(session.id));
        (session, device, host, viewer)
    }
}

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
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: Option<SessionId>,
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

    pub async fn closed(&mut self) -> u16 {
        match self.frame().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("not a close: {other:?}"),
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

    pub async fn resume(&mut self, device: &Device) {
        let challenge = self.challenge().await;
        let id = self.id.unwrap();
        self.send(&ViewerMessage::Resume {
            signature: device.sign(&resume_message(id, &challenge)),
        })
        .await;
    }
}

/// An HTTP client; the library wants a TLS provider even where nothing is encrypted.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub fn sealed(data: &[u8]) -> HostMessage {
    HostMessage::Sealed {
        data: Blob::from(data),
    }
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
