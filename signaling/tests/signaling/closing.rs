//! How sockets end: each close code, hostile clients, and the server's own end.

use std::time::{Duration, Instant};

use authloop_protocol::signal::{MAX_MESSAGE_BYTES, Outcome, ServerMessage, SignalErrorCode};
use authloop_signaling::{Side, SignalingEvent};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{TEST_TIMEOUT, TestDevice, TestServer, TestSession, random, sealed};

const MALFORMED: (SignalErrorCode, u16) = (SignalErrorCode::Malformed, 4400);

#[tokio::test]
async fn every_first_message_but_the_right_one_is_malformed() {
    let server = TestServer::start().await;
    let session = server.session().await;
    for first in [
        "",
        "{",
        "null",
        "[]",
        r#""attach""#,
        r#"{"type":"unknown"}"#,
        r#"{"type":"restart"}"#,
        r#"{"type":"sealed","data":"AA"}"#,
        r#"{"type":"attach"}"#,
        r#"{"type":"attach","host_token":"AA=="}"#,
        r#"{"type":"attach","host_token":"AA","surprise":1}"#,
        r#"{"type":"attach","type":"attach","host_token":"AA"}"#,
        r#"{"type":"claim","token":"AA","device":"AA","signature":"AA"}"#,
    ] {
        let mut host = server.host_socket(session.id).await;
        host.challenge().await;
        host.send_text(first).await;
        assert_eq!(host.refused().await, MALFORMED, "{first}");
    }
    let mut binary = server.viewer_socket(session.id).await;
    binary.challenge().await;
    binary.send_frame(Message::binary(vec![0; 10])).await;
    assert_eq!(binary.refused().await, MALFORMED);
}

#[tokio::test]
async fn every_later_message_but_a_known_one_is_malformed() {
    let server = TestServer::start().await;
    for text in [
        r#"{"type":"attach","host_token":"AA"}"#,
        r#"{"type":"restart","surprise":1}"#,
        r#"{"type":"sealed","data":5}"#,
        r#"{"type":"end","outcome":"expired"}"#,
        r#"{"type":"end","outcome":"won"}"#,
        r#"{"type":"ice_local","ufrag":"abc","pwd":"short"}"#,
        "\u{0}",
    ] {
        let session = server.session().await;
        let mut host = server.host(&session).await;
        host.send_text(text).await;
        assert_eq!(host.refused().await, MALFORMED, "{text}");
    }
    let (_, _, _host, mut viewer) = server.handoff().await;
    viewer
        .send_text(r#"{"type":"end","outcome":"resolved"}"#)
        .await;
    assert_eq!(
        viewer.refused().await,
        MALFORMED,
        "a viewer cannot end a session"
    );
}

#[tokio::test]
async fn random_messages_never_do_more_than_close_the_socket() {
    let server = TestServer::start().await;
    let session = server.session().await;
    for round in 0..100usize {
        let mut host = server.host(&session).await;
        let noise: [u8; 64] = random();
        let frame = if round % 2 == 0 {
            Message::text(String::from_utf8_lossy(&noise[..round % 64]).into_owned())
        } else {
            Message::binary(noise.to_vec())
        };
        host.send_frame(frame).await;
        assert_eq!(host.refused().await, MALFORMED);
    }
    server.host(&session).await;
}

#[tokio::test]
async fn an_unknown_session_is_said_on_the_socket() {
    let server = TestServer::start().await;
    for id in [
        TestSession::new().id.to_string(),
        "short".to_owned(),
        "%00".to_owned(),
    ] {
        for side in ["host", "viewer"] {
            let mut client = server.socket(&id, side, None).await.unwrap();
            assert_eq!(client.refused().await, (SignalErrorCode::NotFound, 4404));
        }
    }
}

#[tokio::test]
async fn too_large_a_message_is_told_so_whatever_its_size() {
    let server = TestServer::start().await;
    let too_large = (SignalErrorCode::TooLarge, 4413);
    let session = server.session().await;
    for size in [
        MAX_MESSAGE_BYTES + 1,
        4 * MAX_MESSAGE_BYTES + 1,
        1024 * 1024,
    ] {
        let mut first = server.host_socket(session.id).await;
        first.challenge().await;
        first.send_text("a".repeat(size)).await;
        assert_eq!(first.refused().await, too_large, "first, {size}");
        let mut host = server.host(&session).await;
        host.send_text("a".repeat(size)).await;
        assert_eq!(host.refused().await, too_large, "later, {size}");
    }
    let mut host = server.host(&session).await;
    host.send(&sealed(&[0; 11 * 1024 + 1])).await;
    assert_eq!(host.refused().await, too_large, "a blob over its own limit");
}

#[tokio::test]
async fn a_silent_first_frame_times_out_even_with_pings() {
    let server = TestServer::with(|settings| {
        settings.sockets.first_message_timeout = Duration::from_millis(100)
    })
    .await;
    let session = server.session().await;
    let mut silent = server.viewer_socket(session.id).await;
    silent.challenge().await;
    silent.send_frame(Message::Ping(Bytes::new())).await;
    assert_eq!(silent.refused().await, (SignalErrorCode::Timeout, 4408));
}

#[tokio::test]
async fn a_slow_reader_is_cut_and_its_sender_is_not_held_up() {
    let server = TestServer::with(|settings| {
        settings.sockets.max_queued_messages = 20;
        settings.sockets.message_burst = 100_000.try_into().unwrap();
        settings.sockets.write_timeout = Duration::from_secs(60);
    })
    .await;
    let (_, _, mut host, mut viewer) = server.handoff().await;
    let blob = sealed(&[0; 10 * 1024]);

    // Fills the viewer's receive buffer, the server's send buffer and the queue.
    let started = Instant::now();
    let cut = |event: &SignalingEvent| {
        let code = SignalErrorCode::Timeout;
        *event
            == SignalingEvent::SocketRejected {
                side: Side::Viewer,
                code,
            }
    };
    while server.count(cut) == 0 {
        host.send(&blob).await;
        assert!(
            started.elapsed() < TEST_TIMEOUT,
            "the slow reader was never cut"
        );
    }

    assert!(matches!(
        host.next().await,
        ServerMessage::Peer { present: false }
    ));
    assert_eq!(viewer.refused().await, (SignalErrorCode::Timeout, 4408));
}

#[tokio::test]
async fn a_client_that_floods_is_cut() {
    let server = TestServer::with(|settings| {
        settings.sockets.message_burst = 10.try_into().unwrap();
        settings.sockets.messages_per_second = 1.try_into().unwrap();
    })
    .await;
    let (_, _, mut host, mut viewer) = server.handoff().await;
    for _ in 0..12 {
        let _ = host
            .try_send_frame(Message::text(r#"{"type":"sealed","data":"AA"}"#))
            .await;
    }
    assert_eq!(host.refused().await, (SignalErrorCode::RateLimited, 4429));
    for _ in 0..10 {
        viewer.sealed().await;
    }
    assert!(matches!(
        viewer.next().await,
        ServerMessage::Peer { present: false }
    ));
}

#[tokio::test]
async fn a_dead_peer_is_dropped_and_a_quiet_one_is_not() {
    let server =
        TestServer::with(|settings| settings.sockets.ping_interval = Duration::from_millis(50))
            .await;
    let (_, _, mut host, viewer) = server.handoff().await;
    // Reading answers the pings, so the host lives; the viewer, whom nobody polls, is dead.
    assert!(matches!(
        host.next().await,
        ServerMessage::Peer { present: false }
    ));
    drop(viewer);
}

#[tokio::test]
async fn an_ended_or_expired_session_takes_nobody() {
    let server = TestServer::start().await;
    let session = server.register(TestSession::expiring_in(3), None).await;
    let mut host = server.host(&session).await;

    let ended = host.next().await;

    assert!(
        matches!(
            ended,
            ServerMessage::Ended {
                outcome: Outcome::Expired
            }
        ),
        "{ended:?}"
    );
    assert_eq!(host.closed().await, 1000);
    for side in ["host", "viewer"] {
        let mut late = server
            .socket(&session.id.to_string(), side, None)
            .await
            .unwrap();
        assert_eq!(late.refused().await, (SignalErrorCode::Ended, 4410));
    }
}

#[tokio::test]
async fn an_end_between_challenge_and_claim_is_an_end() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut viewer = server.viewer_socket(session.id).await;
    let challenge = viewer.challenge().await;
    let mut host = server.host(&session).await;
    host.send_text(r#"{"type":"end","outcome":"cancelled"}"#)
        .await;
    assert!(matches!(host.next().await, ServerMessage::Ended { .. }));

    viewer
        .claim_with(&session, &session.token, &TestDevice::new(), &challenge)
        .await;

    assert_eq!(viewer.refused().await, (SignalErrorCode::Ended, 4410));
}

#[tokio::test]
async fn the_servers_end_closes_all_sockets_and_waits_for_them() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    let mut unidentified = server.viewer_socket(session.id).await;
    unidentified.challenge().await;

    let drain = tokio::spawn({
        let signaling = server.signaling.clone();
        async move { signaling.drain().await }
    });

    assert_eq!(host.closed().await, 1012);
    assert_eq!(viewer.closed().await, 1012);
    assert_eq!(unidentified.closed().await, 1012);
    drop((host, viewer, unidentified));
    tokio::time::timeout(TEST_TIMEOUT, drain)
        .await
        .expect("never drained")
        .unwrap();
    let opened = server.count(|event| matches!(event, SignalingEvent::SocketOpened(_)));
    let closed = server.count(|event| matches!(event, SignalingEvent::SocketClosed(_)));
    assert_eq!(opened, closed);
    assert!(
        server
            .socket(&session.id.to_string(), "host", None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_full_server_opens_no_socket() {
    let server = TestServer::with(|settings| settings.sockets.max_sockets = 1).await;
    let session = server.session().await;
    let first = server.host(&session).await;
    assert!(
        server
            .socket(&session.id.to_string(), "viewer", None)
            .await
            .is_err()
    );
    drop(first);
}
