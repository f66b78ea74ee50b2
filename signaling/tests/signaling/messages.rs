//! What passes between the two sides.

use authloop_protocol::{
    id::Blob,
    signal::{
        MAX_MAILBOX_BLOBS, MAX_SEALED_BYTES, Outcome, ServerMessage, SessionState, ViewerMessage,
    },
};
use authloop_signaling::{Side, SignalingEvent};

use crate::support::{RelayCall, TestDevice, TestServer, sealed};

#[tokio::test]
async fn blobs_pass_in_order_both_ways() {
    let server = TestServer::start().await;
    let (_, _, mut host, mut viewer) = server.handoff().await;
    for number in 0..30u8 {
        host.send(&sealed(&[number])).await;
        viewer.send(&sealed(&[number, number])).await;
    }
    for number in 0..30u8 {
        assert_eq!(viewer.sealed().await, [number]);
        assert_eq!(host.sealed().await, [number, number]);
    }
}

#[tokio::test]
async fn the_largest_blob_passes() {
    let server = TestServer::start().await;
    let (_, _, mut host, mut viewer) = server.handoff().await;
    let largest = vec![0xa5; MAX_SEALED_BYTES];
    host.send(&sealed(&largest)).await;
    assert_eq!(viewer.sealed().await, largest);
}

#[tokio::test]
async fn an_absent_side_finds_the_newest_blobs_in_order() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());
    let mut viewer = server.viewer(&session, &device).await;
    viewer.ice().await;
    let total = u8::try_from(MAX_MAILBOX_BLOBS).unwrap() + 3;
    for number in 0..total {
        viewer.send(&sealed(&[number])).await;
    }
    // The server takes one socket's messages in order: once this is done, so are those.
    viewer.send_text(r#"{"type":"restart"}"#).await;
    viewer.ice().await;

    let mut host = server.host(&session).await;

    host.ice().await;
    for number in 3..total {
        assert_eq!(host.sealed().await, [number]);
    }
    let dropped = |event: &SignalingEvent| *event == SignalingEvent::MailboxDropped(Side::Host);
    assert_eq!(server.count(dropped), 3);
}

#[tokio::test]
async fn each_side_hears_when_the_other_leaves_and_returns() {
    let server = TestServer::start().await;
    let (session, device, mut host, viewer) = server.handoff().await;

    drop(viewer);
    assert!(matches!(
        host.next().await,
        ServerMessage::Peer { present: false }
    ));
    host.send(&sealed(b"kept")).await;
    let mut viewer = server.viewer_socket(session.id).await;
    viewer.resume(&device).await;

    let ServerMessage::Welcome { state, peer, .. } = viewer.next().await else {
        panic!("no welcome");
    };
    assert_eq!((state, peer), (SessionState::Claimed, true));
    viewer.ice().await;
    assert_eq!(viewer.sealed().await, b"kept");
    assert!(matches!(
        host.next().await,
        ServerMessage::Peer { present: true }
    ));
}

#[tokio::test]
async fn a_newer_socket_of_a_side_replaces_the_older_without_a_gap() {
    let server = TestServer::start().await;
    let (session, _, mut old, mut viewer) = server.handoff().await;

    let mut new = server.host(&session).await;

    new.ice().await;
    assert_eq!(old.refused().await.1, 4499);
    viewer.send(&sealed(b"to the new one")).await;
    assert_eq!(new.sealed().await, b"to the new one");
    new.send(&sealed(b"from the new one")).await;
    assert_eq!(viewer.sealed().await, b"from the new one");
}

#[tokio::test]
async fn an_unauthenticated_socket_replaces_nobody() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    let mut stranger = server.host_socket(session.id).await;
    stranger.challenge().await;
    stranger
        .send(&authloop_protocol::signal::HostMessage::Attach {
            host_token: Blob::from([1; 32]),
        })
        .await;
    assert_eq!(stranger.refused().await.1, 4401);
    viewer.send(&sealed(b"still")).await;
    assert_eq!(host.sealed().await, b"still");
}

#[tokio::test]
async fn the_host_ends_the_session_for_both() {
    for (outcome, name) in [
        (Outcome::Resolved, "resolved"),
        (Outcome::Declined, "declined"),
        (Outcome::Failed, "failed"),
        (Outcome::Cancelled, "cancelled"),
    ] {
        let server = TestServer::start().await;
        let (session, device, mut host, mut viewer) = server.handoff().await;

        host.send_text(format!(r#"{{"type":"end","outcome":"{name}"}}"#))
            .await;

        for side in [&mut host, &mut viewer] {
            match side.next().await {
                ServerMessage::Ended { outcome: told } => assert_eq!(told, outcome),
                other => panic!("{other:?}"),
            }
            assert_eq!(side.closed().await, 1000);
        }
        let mut late = server.viewer_socket(session.id).await;
        assert_eq!(late.refused().await.1, 4410);
        drop(device);
    }
}

#[tokio::test]
async fn what_was_queued_arrives_before_the_end() {
    let server = TestServer::start().await;
    let (_, _, mut host, mut viewer) = server.handoff().await;
    host.send(&sealed(b"last words")).await;
    host.send_text(r#"{"type":"end","outcome":"resolved"}"#)
        .await;
    assert_eq!(viewer.sealed().await, b"last words");
    assert!(matches!(viewer.next().await, ServerMessage::Ended { .. }));
}

#[tokio::test]
async fn the_first_picture_counts_once_and_is_asked_for_until_it_came() {
    let server = TestServer::start().await;
    let (session, device, _host, _first) = server.handoff().await;
    let welcome = async || {
        let mut viewer = server.viewer_socket(session.id).await;
        viewer.resume(&device).await;
        let welcome = viewer.next().await;
        let ServerMessage::Welcome { first_frame, .. } = welcome else {
            panic!("no welcome: {welcome:?}");
        };
        (viewer, first_frame)
    };
    let (mut viewer, asked) = welcome().await;
    assert!(asked);

    for _ in 0..2 {
        viewer.send(&ViewerMessage::FirstFrame {}).await;
    }
    viewer.send(&ViewerMessage::Restart {}).await;

    assert_eq!(
        server.relay_call().await,
        RelayCall::Restart(session.id, Side::Viewer)
    );
    let counted = server.count(|event| matches!(event, SignalingEvent::FirstFrame { .. }));
    assert_eq!(counted, 1);
    assert!(!welcome().await.1);
}
