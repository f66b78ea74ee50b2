//! Both ends of a session over streams on the HTTP port, plain and under TLS.

#[path = "../../relay/tests/turn/client.rs"]
#[expect(dead_code, reason = "the relay's own tests use the rest of it")]
mod client;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authloop_relay::{
    Leg, PathAddr, rfc4571,
    stun::{BindingRequest, Class, Message, TransactionId},
    turn::{self, Frame},
};
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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use authloop_signaling::Counts;

use super::*;
use crate::{
    metrics::Metrics,
    shard::{self, LegIce, RelayConfig},
};
use client::{Client, attr, method};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A relay behind an HTTP port.
struct Server {
    relay: RelayHandle,
    _events: tokio::sync::mpsc::Receiver<shard::Event>,
    at: SocketAddr,
    tls: Option<CertificateDer<'static>>,
    metrics: Metrics,
    streams: Streams,
}

impl Server {
    fn start(tls: bool) -> Self {
        let (relay, events) = shard::start(&RelayConfig {
            listen: "0.0.0.0:0".parse().unwrap(),
            advertise: vec!["192.0.2.1".parse().unwrap()],
            shards: 2,
        })
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let metrics = Metrics::new().unwrap();
        let streams = Streams::new(relay.clone(), metrics.streams().clone());
        let let_in = Some(streams.clone());
        let router = Router::new().route("/", get(|| async { "a page" }));
        let server = axum_server::from_tcp(listener).unwrap();
        let made =
            tls.then(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
        let cert = made.as_ref().map(|made| made.cert.der().clone());
        match made {
            None => {
                let server = server.acceptor(Sniff::new(DefaultAcceptor::new(), let_in));
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
                let plain = Sniff::before_tls(DefaultAcceptor::new(), let_in.clone());
                let server = server.acceptor(Sniff::new(acceptor.acceptor(plain), let_in));
                tokio::spawn(server.serve(router.into_make_service()));
            }
        }
        Self {
            relay,
            _events: events,
            at,
            tls: cert,
            metrics,
            streams,
        }
    }

    fn metric(&self, name: &str) -> u64 {
        let counts = Counts {
            created: 0,
            claimed: 0,
            ended: 0,
        };
        let text = self.metrics.render(counts, None).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    async fn connect_plain(&self) -> Box<dyn Stream> {
        Box::new(TcpStream::connect(self.at).await.unwrap())
    }

    async fn connect(&self) -> Box<dyn Stream> {
        let tcp = self.connect_plain().await;
        let Some(cert) = &self.tls else {
            return tcp;
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
        Box::new(connector.connect(name, tcp).await.unwrap())
    }
}

/// An ICE agent that sends and receives whole datagrams over some stream.
struct Agent {
    stream: Box<dyn Stream>,
    inbound: Vec<u8>,
    ice: LegIce,
    turn: Option<Client>,
    checks: u8,
}

/// The endpoints' own password.
const PWD: &str = "0123456789012345678901";
const CHANNEL: u16 = 0x4abc;

impl Agent {
    async fn ice_tcp(server: &Server, ice: LegIce) -> Self {
        Self::over(server.connect().await, ice)
    }

    fn over(stream: Box<dyn Stream>, ice: LegIce) -> Self {
        Self {
            stream,
            inbound: Vec::new(),
            ice,
            turn: None,
            checks: 0,
        }
    }

    /// Over TURN: challenge, allocation, channel to the leg's candidate.
    async fn turn(server: &Server, ice: LegIce) -> Self {
        let client = Client::new(&ice.ufrag, &ice.pwd);
        let peer = PathAddr::from(ice.candidates[0]);
        let mut agent = Self::ice_tcp(server, ice).await;
        agent.turn = Some(client);
        assert_eq!(
            agent.ask(method::ALLOCATE, &[client::udp()]).await.code,
            401
        );
        let allocated = agent.ask(method::ALLOCATE, &[client::udp()]).await;
        assert_eq!((allocated.code, allocated.vouched_for), (0, true));
        assert!(allocated.address(attr::XOR_RELAYED_ADDRESS).is_some());
        let bind = [client::channel(CHANNEL), client::peer(peer)];
        assert_eq!(agent.ask(method::CHANNEL_BIND, &bind).await.code, 0);
        agent
    }

    async fn ask(&mut self, method: u16, attributes: &[(u16, Vec<u8>)]) -> client::Reply {
        let client = self.turn.as_ref().unwrap();
        let request = client.request(method, attributes);
        self.stream.write_all(&request).await.unwrap();
        let reply = self.frame(|bytes| match turn::split(bytes).unwrap()? {
            (Frame::Stun(reply), used) => Some((reply.to_vec(), used)),
            other => panic!("{other:?}"),
        });
        let reply = reply.await.unwrap();
        self.turn.as_mut().unwrap().read(&reply)
    }

    async fn send(&mut self, datagram: &[u8]) {
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
    async fn receive(&mut self) -> Option<Vec<u8>> {
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
                    (Frame::Channel { number, data }, used) => {
                        assert_eq!(number, CHANNEL);
                        Some((data.to_vec(), used))
                    }
                    other => panic!("{other:?}"),
                };
                self.frame(split).await
            }
        }
    }

    async fn frame(
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

    fn check(&mut self, pwd: &str) -> Vec<u8> {
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

    /// Checks the leg and reads the answer.
    async fn connect(&mut self) {
        let pwd = self.ice.pwd.clone();
        let check = self.check(&pwd);
        self.send(&check).await;
        let answer = self.receive().await.unwrap();
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.class(), Class::Success);
        assert!(answer.integrity_holds(pwd.as_bytes()));
    }
}

async fn assert_session_over_streams(tls: bool) {
    let server = Server::start(tls);
    let [host, viewer] = server.relay.open([7; 16]).await.unwrap();
    let mut host = Agent::ice_tcp(&server, host).await;
    let mut viewer = Agent::turn(&server, viewer).await;
    host.connect().await;
    viewer.connect().await;

    // A DTLS record each way, small enough for an address that is not proven yet.
    let (up, down) = ([22u8; 61], [23u8; 50]);
    viewer.send(&up).await;
    assert_eq!(host.receive().await.as_deref(), Some(&up[..]));
    host.send(&down).await;
    assert_eq!(viewer.receive().await.as_deref(), Some(&down[..]));

    let mut http = server.connect().await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    http.write_all(request).await.unwrap();
    let mut page = Vec::new();
    // Under TLS, the server may close without a word.
    let _ = http.read_to_end(&mut page).await;
    let page = String::from_utf8_lossy(&page);
    assert!(
        page.starts_with("HTTP/1.1 200") && page.ends_with("a page"),
        "{page}"
    );

    for kind in ["http", "turn", "ice_tcp"] {
        let name = format!("authloop_streams_accepted_total{{kind=\"{kind}\"}}");
        assert_eq!(server.metric(&name), 1, "{kind}");
    }
    for kind in ["turn", "ice_tcp"] {
        assert_eq!(server.metric(&open(kind)), 1);
        for direction in ["received", "sent"] {
            let name =
                format!("authloop_stream_bytes_total{{direction=\"{direction}\",kind=\"{kind}\"}}");
            assert!(server.metric(&name) > 100, "{kind} {direction}");
        }
    }
}

fn open(kind: &str) -> String {
    format!("authloop_streams_open{{kind=\"{kind}\"}}")
}

fn ended(kind: &str, reason: &str) -> String {
    format!("authloop_streams_ended_total{{kind=\"{kind}\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn ice_tcp_turn_and_http_share_a_plain_port() {
    assert_session_over_streams(false).await;
}

#[tokio::test]
async fn ice_tcp_turn_and_http_share_a_tls_port() {
    assert_session_over_streams(true).await;
}

#[tokio::test]
async fn plain_ice_tcp_is_let_in_before_tls() {
    let server = Server::start(true);
    let [host, _] = server.relay.open([7; 16]).await.unwrap();
    let mut agent = Agent::over(server.connect_plain().await, host);

    agent.connect().await;

    assert_eq!(server.metric(&open("ice_tcp")), 1);
}

#[tokio::test]
async fn the_end_of_the_server_closes_every_stream() {
    for tls in [false, true] {
        let server = Server::start(tls);
        let [host, viewer] = server.relay.open([7; 16]).await.unwrap();
        let mut host = Agent::ice_tcp(&server, host).await;
        let mut viewer = Agent::turn(&server, viewer).await;
        host.connect().await;
        viewer.connect().await;

        server.streams.close().await;

        for (agent, kind) in [(&mut host, "ice_tcp"), (&mut viewer, "turn")] {
            // Under TLS a missing farewell is an error here.
            assert_eq!(agent.stream.read(&mut [0; 64]).await.unwrap(), 0);
            assert_eq!(server.metric(&ended(kind, "shutdown")), 1);
            assert_eq!(server.metric(&open(kind)), 0);
        }
    }
}

#[tokio::test]
async fn a_stream_without_the_leg_s_password_is_closed() {
    let server = Server::start(false);
    let [host, _] = server.relay.open([7; 16]).await.unwrap();
    let mut agent = Agent::ice_tcp(&server, host.clone()).await;
    let forged = agent.check(PWD);
    agent.send(&forged).await;
    assert_eq!(agent.receive().await, None);

    let stranger = LegIce {
        ufrag: "AAAABBBBCCCCDDDD".to_owned(),
        ..host
    };
    let mut agent = Agent::ice_tcp(&server, stranger).await;
    let check = agent.check(PWD);
    agent.send(&check).await;
    assert_eq!(agent.receive().await, None);
    server.streams.close().await;
    assert_eq!(server.metric(&ended("ice_tcp", "unproven")), 2);
}

#[tokio::test]
async fn a_silent_client_s_media_never_piles_up() {
    let server = Server::start(false);
    let [host, viewer] = server.relay.open([7; 16]).await.unwrap();
    server
        .relay
        .set_remote([7; 16], Leg::Viewer, "mine", PWD)
        .await
        .unwrap();
    let mut host = Agent::ice_tcp(&server, host).await;
    let mut viewer = Agent::ice_tcp(&server, viewer).await;
    host.connect().await;
    viewer.connect().await;
    // The relay's own check proves the return path.
    let probe = viewer.receive().await.unwrap();
    let probe = Message::parse(&probe).unwrap();
    let mut proof = Vec::new();
    let mapped = PathAddr::from_v4([127, 0, 0, 1], 9);
    authloop_relay::stun::write_binding_success(
        &mut proof,
        probe.transaction_id(),
        mapped,
        PWD.as_bytes(),
        true,
    );
    viewer.send(&proof).await;

    // The host is never held up by a viewer that reads nothing.
    for _ in 0..20_000 {
        host.send(&[128; 1_200]).await;
    }
    host.connect().await;
    let dropped = "authloop_stream_drops_total{reason=\"queue_full\"}";
    assert!(server.metric(dropped) > 0);
}
