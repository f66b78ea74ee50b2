//! Both ends of a session over streams on the HTTP port, plain and under TLS.

mod support;

use std::time::Duration;

use authloop_relay_testkit::{
    TurnClient,
    turn_client::{self as client, method},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    client_limiter::ClientLimiter, shard::LegIceParameters, tcp_fallback::admission::UnprovenLimits,
};
use support::{Agent, PWD, Server};

async fn assert_session_over_streams(tls: bool) {
    let server = Server::start(tls);
    let [host, viewer] = server.open([7; 16]).await;
    let mut host = Agent::ice_tcp(&server, host).await;
    let mut viewer = Agent::turn(&server, viewer).await;
    host.connect_proven().await;
    viewer.connect_proven().await;

    let (up, down) = ([22u8; 61], [23u8; 50]);
    viewer.send(&up).await;
    assert_eq!(host.receive().await.as_deref(), Some(&up[..]));
    host.send(&down).await;
    assert_eq!(viewer.receive().await.as_deref(), Some(&down[..]));

    let (mut http, _) = server.connect().await;
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

        server.fallback.close().await;

        for (agent, kind) in [(&mut host, "ice_tcp"), (&mut viewer, "turn")] {
            // Under TLS a missing farewell is an error here.
            assert_eq!(agent.stream.read(&mut [0; 64]).await.unwrap(), 0);
            assert_eq!(server.metric(&ended(kind, "shutdown")), 1);
            assert_eq!(server.metric(&open(kind)), 0);
        }
    }
}

#[tokio::test]
async fn an_address_has_so_many_streams_unless_it_stands_for_many_clients() {
    let loopback = ["127.0.0.0/8".parse().unwrap()];
    for (proxies, admitted) in [(&[][..], 2), (&loopback[..], 3)] {
        let server = Server::with_limits(
            false,
            ClientLimiter::new(3, 2, proxies),
            UnprovenLimits::default(),
        );
        let mut streams = Vec::new();
        for n in 0..4 {
            let [host, _] = server.relay.open([n; 16]).await.unwrap();
            let mut agent = Agent::ice_tcp(&server, host).await;
            let pwd = agent.ice.pwd.clone();
            let check = agent.check(&pwd);
            agent.send(&check).await;
            let answer = agent.receive().await;
            streams.push((agent, answer));
        }

        let answered = streams.iter().filter(|(_, answer)| answer.is_some());
        assert_eq!(answered.count(), admitted);
        let refused = server.metric(&ended("ice_tcp", "refused"));
        assert_eq!(refused, 4 - admitted as u64);
    }
}

#[tokio::test]
async fn a_stream_that_ended_leaves_no_address_behind() {
    let server = Server::start(false);
    let [host, viewer] = server.open([7; 16]).await;
    let mut host = Agent::ice_tcp(&server, host).await;
    let mut viewer = Agent::turn(&server, viewer).await;
    host.connect_proven().await;
    viewer.connect_proven().await;
    assert_eq!(server.relay.stats().await.unwrap().connected_legs, 2);

    drop((host, viewer));
    for kind in ["ice_tcp", "turn"] {
        while server.metric(&ended(kind, "closed")) == 0 {
            tokio::task::yield_now().await;
        }
    }

    // At once: their sockets' ports may be another stream's by now.
    assert_eq!(server.relay.stats().await.unwrap().connected_legs, 0);
}

#[tokio::test]
async fn a_stream_without_the_leg_s_password_is_closed() {
    let server = Server::start(false);
    let [host, _] = server.relay.open([7; 16]).await.unwrap();
    let mut agent = Agent::ice_tcp(&server, host.clone()).await;
    let forged = agent.check(PWD);
    agent.send(&forged).await;
    assert_eq!(agent.receive().await, None);

    let stranger = LegIceParameters {
        ufrag: "AAAABBBBCCCCDDDD".to_owned(),
        ..host
    };
    let mut agent = Agent::ice_tcp(&server, stranger).await;
    let check = agent.check(PWD);
    agent.send(&check).await;
    assert_eq!(agent.receive().await, None);
    server.fallback.close().await;
    assert_eq!(server.metric(&ended("ice_tcp", "unproven")), 2);
}

#[tokio::test]
async fn a_silent_client_s_media_never_piles_up() {
    let server = Server::start(false);
    let [host, viewer] = server.open([7; 16]).await;
    let mut host = Agent::ice_tcp(&server, host).await;
    let mut viewer = Agent::ice_tcp(&server, viewer).await;
    host.connect_proven().await;
    viewer.connect_proven().await;

    // The host is never held up by a viewer that reads nothing.
    for _ in 0..20_000 {
        host.send(&[128; 1_200]).await;
    }
    host.connect().await;
    let dropped = "authloop_stream_drops_total{reason=\"queue_full\"}";
    assert!(server.metric(dropped) > 0);
}

#[tokio::test]
async fn streams_that_prove_nothing_keep_nobody_out() {
    let server = Server::with_limits(
        false,
        ClientLimiter::new(100, 100, &[]),
        UnprovenLimits {
            max_unproven: 4,
            max_unproven_per_address: 4,
            ..UnprovenLimits::default()
        },
    );
    let [host, viewer] = server.relay.open([7; 16]).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..20 {
        // The beginning of a frame (RFC 4571) that is a STUN message (RFC 8489 section 5).
        let (mut stream, _) = server.connect().await;
        let begin = [0, 28, 0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        stream.write_all(&begin).await.unwrap();
        held.push(stream);
    }
    // Those that were displaced hear of it.
    for stream in &mut held[..16] {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }

    Agent::ice_tcp(&server, host).await.connect().await;
    Agent::turn(&server, viewer).await.connect().await;

    assert!(server.metric(&ended("ice_tcp", "displaced")) >= 16);
}

#[tokio::test]
async fn a_turn_client_that_only_names_a_leg_is_let_go_whatever_it_says() {
    let server = Server::with_limits(
        false,
        ClientLimiter::new(100, 100, &[]),
        UnprovenLimits {
            proof_timeout: Duration::from_millis(500),
            ..UnprovenLimits::default()
        },
    );
    let [host, _] = server.relay.open([7; 16]).await.unwrap();
    let mut agent = Agent::ice_tcp(&server, host.clone()).await;
    agent.turn = Some(TurnClient::new(&host.ufrag, PWD));
    for _ in 0..2 {
        let refused = agent.ask(method::ALLOCATE, &[client::udp()]).await;
        assert_eq!(refused.code, 401);
    }

    // ChannelData (RFC 8656 section 12.4), again and again.
    let (mut reader, mut writer) = tokio::io::split(agent.stream);
    let noise = async {
        while writer.write_all(&[0x40, 0, 0, 4, 1, 2, 3, 4]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut rest = Vec::new();
    let closed = async { tokio::join!(noise, reader.read_to_end(&mut rest)) };

    let closed = tokio::time::timeout(Duration::from_secs(20), closed).await;
    assert!(closed.is_ok(), "it stays");
    assert_eq!(server.metric(&ended("turn", "idle")), 1);
}
