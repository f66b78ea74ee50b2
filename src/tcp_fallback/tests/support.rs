//! A relay behind an HTTP port, and ICE agents that come by streams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authloop_relay::{
    Leg, PathAddr, rfc4571,
    stun::{self, BindingMessage, BindingRequest, TransactionId},
    turn::{self, TurnFrame},
};
use authloop_relay_testkit::{
    TurnClient, TurnReply,
    turn_client::{self as client, attr, method},
};
use authloop_signaling::SessionCounts;
use axum::{Router, routing::get};
use axum_server::{
    accept::DefaultAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    client_limiter::ClientLimiter,
    metrics::Metrics,
    shard::{self, LegIceParameters, RelayConfig, RelayHandle},
    tcp_fallback::{TcpFallback, admission::UnprovenLimits, detector::ProtocolDetector},
};

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A relay behind an HTTP port.
pub(super) struct Server {
    pub(super) relay: RelayHandle,
    _events: tokio::sync::mpsc::Receiver<shard::RelayEvent>,
    pub(super) at: SocketAddr,
    pub(super) tls: Option<CertificateDer<'static>>,
    pub(super) metrics: Metrics,
    pub(super) fallback: TcpFallback,
}

impl Server {
    pub(super) fn start(tls: bool) -> Self {
        let proven = ClientLimiter::new(100, 100, &[]);
        Self::with_limits(tls, proven, UnprovenLimits::default())
    }

    pub(super) fn with_limits(tls: bool, proven: ClientLimiter, unproven: UnprovenLimits) -> Self {
        let (relay, events) = shard::start(&RelayConfig {
            listen: "0.0.0.0:0".parse().unwrap(),
            advertise: vec!["192.0.2.1".parse().unwrap()],
            shards: 2,
            coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
        })
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let metrics = Metrics::new().unwrap();
        let metered = metrics.streams().clone();
        let fallback = TcpFallback::with_limits(relay.clone(), proven, metered, unproven);
        let accepting = Some(fallback.clone());
        let router = Router::new().route("/", get(|| async { "a page" }));
        let server = axum_server::from_tcp(listener).unwrap();
        let made =
            tls.then(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
        let cert = made.as_ref().map(|made| made.cert.der().clone());
        match made {
            None => {
                let server =
                    server.acceptor(ProtocolDetector::new(DefaultAcceptor::new(), accepting));
                tokio::spawn(server.serve(router.into_make_service()));
            }
            Some(made) => {
                let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
                let provider = Arc::new(ring::default_provider());
                let config = ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![made.cert.der().clone()], key)
                    .unwrap();
                let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)));
                let plain = ProtocolDetector::before_tls(DefaultAcceptor::new(), accepting.clone());
                let server =
                    server.acceptor(ProtocolDetector::new(acceptor.acceptor(plain), accepting));
                tokio::spawn(server.serve(router.into_make_service()));
            }
        }
        Self {
            relay,
            _events: events,
            at,
            tls: cert,
            metrics,
            fallback,
        }
    }

    /// Opens a session, whose endpoints' own credentials the relay knows.
    pub(super) async fn open(&self, session: [u8; 16]) -> [LegIceParameters; 2] {
        let legs = self.relay.open(session).await.unwrap();
        for leg in [Leg::Host, Leg::Viewer] {
            let set = self.relay.set_remote(session, leg, "mine", PWD).await;
            set.unwrap();
        }
        legs
    }

    pub(super) fn metric(&self, name: &str) -> u64 {
        let counts = SessionCounts {
            created: 0,
            claimed: 0,
            ended: 0,
        };
        let text = self.metrics.render(counts, None, None, None).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// A plain connection, and the address that it comes from.
    pub(super) async fn connect_plain(&self) -> (Box<dyn Stream>, SocketAddr) {
        let tcp = TcpStream::connect(self.at).await.unwrap();
        let addr = tcp.local_addr().unwrap();
        (Box::new(tcp), addr)
    }

    /// A connection as clients make it, and the address that it comes from.
    pub(super) async fn connect(&self) -> (Box<dyn Stream>, SocketAddr) {
        let (tcp, addr) = self.connect_plain().await;
        let Some(cert) = &self.tls else {
            return (tcp, addr);
        };
        let mut roots = RootCertStore::empty();
        roots.add(cert.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let tls = connector.connect(name, tcp).await.unwrap();
        (Box::new(tls), addr)
    }
}

/// An ICE agent that sends and receives whole datagrams over some stream.
pub(super) struct Agent {
    pub(super) stream: Box<dyn Stream>,
    pub(super) inbound: Vec<u8>,
    pub(super) ice: LegIceParameters,
    pub(super) turn: Option<TurnClient>,
    pub(super) checks: u8,
    /// Its own address as others know it: of its connection, or by TURN the relayed one.
    pub(super) addr: PathAddr,
}

/// The endpoints' own password.
pub(super) const PWD: &str = "0123456789012345678901";
pub(super) const CHANNEL: u16 = 0x4abc;

impl Agent {
    pub(super) async fn ice_tcp(server: &Server, ice: LegIceParameters) -> Self {
        Self::over(server.connect().await, ice)
    }

    pub(super) fn over(
        (stream, addr): (Box<dyn Stream>, SocketAddr),
        ice: LegIceParameters,
    ) -> Self {
        Self {
            stream,
            inbound: Vec::new(),
            ice,
            turn: None,
            checks: 0,
            addr: addr.into(),
        }
    }

    /// Over TURN: challenge, allocation, channel to the leg's candidate.
    pub(super) async fn turn(server: &Server, ice: LegIceParameters) -> Self {
        let client = TurnClient::new(&ice.ufrag, &ice.pwd);
        let peer = PathAddr::from(ice.candidates[0]);
        let mut agent = Self::ice_tcp(server, ice).await;
        agent.turn = Some(client);
        assert_eq!(
            agent.ask(method::ALLOCATE, &[client::udp()]).await.code,
            401
        );
        let allocated = agent.ask(method::ALLOCATE, &[client::udp()]).await;
        assert_eq!((allocated.code, allocated.vouched_for), (0, true));
        agent.addr = allocated.address(attr::XOR_RELAYED_ADDRESS).unwrap();
        assert_eq!(agent.addr.octets(), peer.octets());
        let bind = [client::channel(CHANNEL), client::peer(peer)];
        assert_eq!(agent.ask(method::CHANNEL_BIND, &bind).await.code, 0);
        agent
    }

    pub(super) async fn ask(&mut self, method: u16, attributes: &[(u16, Vec<u8>)]) -> TurnReply {
        let client = self.turn.as_ref().unwrap();
        let request = client.request(method, attributes);
        self.stream.write_all(&request).await.unwrap();
        let reply = self.frame(|bytes| match turn::split(bytes).unwrap()? {
            (TurnFrame::Stun(reply), used) => Some((reply.to_vec(), used)),
            other => panic!("{other:?}"),
        });
        let reply = reply.await.unwrap();
        self.turn.as_mut().unwrap().read(&reply)
    }

    pub(super) async fn send(&mut self, datagram: &[u8]) {
        let mut out = Vec::new();
        match self.turn {
            None => assert!(rfc4571::write(&mut out, datagram)),
            Some(_) => {
                out.extend(CHANNEL.to_be_bytes());
                out.extend((datagram.len() as u16).to_be_bytes());
                out.extend(datagram);
                out.resize(out.len().next_multiple_of(4), 0);
            }
        }
        self.stream.write_all(&out).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next datagram; `None` when the server closed the stream.
    pub(super) async fn receive(&mut self) -> Option<Vec<u8>> {
        match self.turn {
            None => {
                let split = |bytes: &[u8]| {
                    let (datagram, used) = rfc4571::split(bytes).unwrap()?;
                    Some((datagram.to_vec(), used))
                };
                self.frame(split).await
            }
            Some(_) => {
                let split = |bytes: &[u8]| match turn::split(bytes).unwrap()? {
                    (TurnFrame::Channel { number, data }, used) => {
                        assert_eq!(number, CHANNEL);
                        Some((data.to_vec(), used))
                    }
                    other => panic!("{other:?}"),
                };
                self.frame(split).await
            }
        }
    }

    pub(super) async fn frame(
        &mut self,
        split: impl Fn(&[u8]) -> Option<(Vec<u8>, usize)>,
    ) -> Option<Vec<u8>> {
        loop {
            if let Some((frame, used)) = split(&self.inbound) {
                self.inbound.drain(..used);
                return Some(frame);
            }
            let read = self.stream.read_buf(&mut self.inbound);
            let read = tokio::time::timeout(Duration::from_secs(5), read).await;
            // A reset is a close, too.
            if read.expect("an answer in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(super) fn check(&mut self, pwd: &str) -> Vec<u8> {
        self.checks += 1;
        let mut out = Vec::new();
        BindingRequest {
            transaction_id: TransactionId([self.checks; 12]),
            to_ufrag: self.ice.ufrag.as_bytes(),
            from_ufrag: b"mine",
            pwd: pwd.as_bytes(),
            priority: 1,
            controlling: Some(1),
            use_candidate: true,
        }
        .write(&mut out);
        out
    }

    /// Checks the leg, and answers the relay's own check.
    pub(super) async fn connect_proven(&mut self) {
        self.connect().await;
        let probe = self.receive().await.unwrap();
        let probe = BindingMessage::parse(&probe).unwrap();
        assert!(probe.integrity_holds(PWD.as_bytes()));
        let mut proof = Vec::new();
        let (id, relay) = (probe.transaction_id(), PathAddr::from_v4([127, 0, 0, 1], 9));
        stun::write_binding_success(&mut proof, id, relay, PWD.as_bytes(), true);
        self.send(&proof).await;
    }

    /// Checks the leg and reads the answer, which has to tell the agent its own address.
    pub(super) async fn connect(&mut self) {
        let pwd = self.ice.pwd.clone();
        let check = self.check(&pwd);
        self.send(&check).await;
        let answer = self.receive().await.unwrap();
        let id = TransactionId([self.checks; 12]);
        let mut expected = Vec::new();
        stun::write_binding_success(&mut expected, id, self.addr, pwd.as_bytes(), true);
        assert_eq!(answer, expected);
    }
}
