//! A server on a free port, a relay that takes notes, and clients that say what they are told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use authloop_protocol::{
    id::{Blob, SessionId},
    signal::{HostMessage, ServerMessage, SessionCreated},
};
use authloop_signaling::{
    AuditEvent, Cluster, ClusterSettings, LegParameters, Observer, PageSource, Relay, RelayError,
    SessionLegs, Settings, Side, Signaling, SignalingEvent,
};
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest as _};

pub(crate) use authloop_signaling_testkit::{
    RedisServer, TEST_TIMEOUT, TestClient, TestDevice, TestSession, random, unix_now,
};

/// A call that the fake relay got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RelayCall {
    Open(SessionId),
    Restart(SessionId, Side),
    SetRemote(SessionId, Side, String, String),
    Close(SessionId),
}

pub(crate) struct FakeRelay {
    calls: mpsc::UnboundedSender<RelayCall>,
    pub(crate) fails: AtomicBool,
    pub(crate) forgets: AtomicBool,
}

impl FakeRelay {
    fn leg(&self) -> LegParameters {
        // Unlike those of every other relay in this process, too.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        LegParameters {
            ufrag: format!("ufrag{number:011}"),
            pwd: format!("pwd{number:021}"),
            candidates: vec![([127, 0, 0, 1], 3478).into()],
            tcp: vec![([127, 0, 0, 1], 443).into()],
            turn: vec!["turns:relay.example:443?transport=tcp".to_owned()],
        }
    }
}

#[async_trait]
impl Relay for FakeRelay {
    async fn open(&self, id: SessionId) -> Result<SessionLegs, RelayError> {
        let _ = self.calls.send(RelayCall::Open(id));
        if self.fails.load(Ordering::Relaxed) {
            return Err(RelayError::Stopped);
        }
        Ok(SessionLegs {
            host: self.leg(),
            viewer: self.leg(),
        })
    }

    async fn restart(&self, id: SessionId, side: Side) -> Result<LegParameters, RelayError> {
        let _ = self.calls.send(RelayCall::Restart(id, side));
        if self.forgets.load(Ordering::Relaxed) {
            return Err(RelayError::Unknown);
        }
        Ok(self.leg())
    }

    async fn set_remote(&self, id: SessionId, side: Side, ufrag: String, pwd: String) {
        let _ = self.calls.send(RelayCall::SetRemote(id, side, ufrag, pwd));
    }

    async fn close(&self, id: SessionId) {
        let _ = self.calls.send(RelayCall::Close(id));
    }
}

#[derive(Default)]
struct RecordingObserver {
    events: Mutex<Vec<SignalingEvent>>,
    audit_events: Mutex<Vec<AuditEvent>>,
}

impl Observer for RecordingObserver {
    fn observe(&self, event: SignalingEvent) {
        self.events.lock().unwrap().push(event);
    }

    fn audit(&self, event: AuditEvent) {
        self.audit_events.lock().unwrap().push(event);
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) signaling: Signaling,
    pub(crate) relay: Arc<FakeRelay>,
    relay_calls: tokio::sync::Mutex<mpsc::UnboundedReceiver<RelayCall>>,
    observer: Arc<RecordingObserver>,
    /// A node's own, so that it can die like a process.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_viewer(change, PageSource::Embedded).await
    }

    pub(crate) async fn with_viewer(
        change: impl FnOnce(&mut Settings),
        viewer: PageSource,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::new(origin(&listener));
        change(&mut settings);
        Self::over(listener, settings, viewer, None).await
    }

    /// One of several nodes, in a runtime of its own.
    pub(crate) async fn node(redis: &ClusterSettings) -> Self {
        Self::node_with(redis, |_| {}).await
    }

    pub(crate) async fn node_with(
        redis: &ClusterSettings,
        change: impl FnOnce(&mut Settings) + Send + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let redis = redis.clone();
        let started = runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut settings = Settings::new(origin(&listener));
            // All clients come from one address.
            settings.rates.claim_burst = 5000.try_into().unwrap();
            // A thousand of them say their first word together.
            settings.sockets.first_message_timeout = TEST_TIMEOUT;
            change(&mut settings);
            Self::over(listener, settings, PageSource::Embedded, Some(redis)).await
        });
        let mut server = started.await.unwrap();
        server.runtime = Some(runtime);
        server
    }

    async fn over(
        listener: tokio::net::TcpListener,
        settings: Settings,
        viewer: PageSource,
        redis: Option<ClusterSettings>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, relay_calls) = mpsc::unbounded_channel();
        let relay = Arc::new(FakeRelay {
            calls: sender,
            fails: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
        });
        let observer = Arc::new(RecordingObserver::default());
        let signaling = match redis {
            None => Signaling::new(settings, viewer, relay.clone(), observer.clone()),
            Some(redis) => {
                let retention = settings.registry.retention;
                let cluster = Cluster::connect(&redis, &settings.sockets, retention)
                    .await
                    .unwrap();
                Signaling::join(settings, viewer, relay.clone(), observer.clone(), cluster).await
            }
        };
        let service = signaling
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            address,
            signaling,
            relay,
            relay_calls: tokio::sync::Mutex::new(relay_calls),
            observer,
            runtime: None,
        }
    }

    /// Ends a node as SIGKILL would: every task and connection at once, without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next call that the relay gets.
    pub(crate) async fn relay_call(&self) -> RelayCall {
        let mut calls = self.relay_calls.lock().await;
        timeout(TEST_TIMEOUT, calls.recv())
            .await
            .expect("the relay was not called")
            .unwrap()
    }

    pub(crate) fn count(&self, matches: impl Fn(&SignalingEvent) -> bool) -> usize {
        self.observer
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| matches(event))
            .count()
    }

    /// What an audit log would have.
    pub(crate) fn audit_events(&self) -> Vec<AuditEvent> {
        self.observer.audit_events.lock().unwrap().clone()
    }

    pub(crate) async fn create(&self, body: &impl Serialize) -> reqwest::Response {
        let request = http().post(self.url("/v1/sessions")).json(body);
        request.send().await.unwrap()
    }

    /// Registers a new session.
    pub(crate) async fn session(&self) -> TestSession {
        let session = TestSession::new();
        self.register(session, None).await
    }

    pub(crate) async fn register(
        &self,
        mut session: TestSession,
        device: Option<&TestDevice>,
    ) -> TestSession {
        let response = self.create(&session.registration(device)).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        let created: SessionCreated = response.json().await.unwrap();
        session.host_token = created.host_token.0;
        session
    }

    pub(crate) async fn socket(
        &self,
        id: &str,
        side: &str,
        origin: Option<&str>,
    ) -> Result<TestClient, Error> {
        let url = format!("ws://{}/v1/sessions/{id}/{side}", self.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        TestClient::connect(request, SessionId::parse(id)).await
    }

    pub(crate) async fn host_socket(&self, id: SessionId) -> TestClient {
        self.socket(&id.to_string(), "host", None).await.unwrap()
    }

    pub(crate) async fn viewer_socket(&self, id: SessionId) -> TestClient {
        let origin = format!("http://{}", self.address);
        self.socket(&id.to_string(), "viewer", Some(&origin))
            .await
            .unwrap()
    }

    /// Attaches a host and takes its welcome.
    pub(crate) async fn host(&self, session: &TestSession) -> TestClient {
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
    pub(crate) async fn viewer(&self, session: &TestSession, device: &TestDevice) -> TestClient {
        let mut viewer = self.viewer_socket(session.id).await;
        viewer.claim(session, device).await;
        assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
        viewer
    }

    /// A session with both sides attached and all that the beginning brings taken.
    pub(crate) async fn handoff(&self) -> (TestSession, TestDevice, TestClient, TestClient) {
        let (session, device) = (self.session().await, TestDevice::new());
        let mut host = self.host(&session).await;
        let mut viewer = self.viewer(&session, &device).await;
        viewer.ice().await;
        assert!(matches!(host.next().await, ServerMessage::Claimed { .. }));
        assert!(matches!(
            host.next().await,
            ServerMessage::Peer { present: true }
        ));
        host.ice().await;
        assert_eq!(self.relay_call().await, RelayCall::Open(session.id));
        (session, device, host, viewer)
    }
}

fn origin(listener: &tokio::net::TcpListener) -> authloop_signaling::origin::Origin {
    let address = listener.local_addr().unwrap();
    format!("http://{address}").parse().unwrap()
}

/// An HTTP client; the library wants a TLS provider even where nothing is encrypted.
pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(crate) fn sealed(data: &[u8]) -> HostMessage {
    HostMessage::Sealed {
        data: Blob::from(data),
    }
}
