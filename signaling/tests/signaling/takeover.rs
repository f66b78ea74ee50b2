//! A second device gets a session only with the first one's consent.

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, ServerMessage, SignalErrorCode, ViewerMessage},
};
use authloop_signaling::Side;

use crate::support::{RelayCall, TestClient, TestDevice, TestServer, TestSession, sealed};

const KEPT_BY_OTHER_DEVICE: (SignalErrorCode, u16) = (SignalErrorCode::AlreadyClaimed, 4409);

/// The commitment of the device that the viewer is told asks for its session.
async fn asked(viewer: &mut TestClient) -> Option<Blob> {
    match viewer.next().await {
        ServerMessage::Takeover { commitment } => commitment,
        other => panic!("not asked: {other:?}"),
    }
}

/// A second device's socket, which waits for the first one's answer.
async fn asking(server: &TestServer, session: &TestSession, device: &TestDevice) -> TestClient {
    let mut socket = server.viewer_socket(session.id).await;
    socket.take_over(session, device).await;
    assert!(matches!(socket.next().await, ServerMessage::Waiting {}));
    socket
}

#[tokio::test]
async fn a_session_moves_by_the_hosts_word_with_a_new_leg_and_without_the_old_devices_mail() {
    let server = TestServer::start().await;
    let (session, first_device, mut host, mut first) = server.handoff().await;
    let second_device = TestDevice::new();
    let mut second = asking(&server, &session, &second_device).await;
    assert_eq!(asked(&mut first).await, Some(second_device.commitment()));

    // It has no say before the consent.
    second.send(&ViewerMessage::Restart {}).await;
    let device = Blob::from(second_device.public());
    host.send(&HostMessage::HandOver { device }).await;

    assert_eq!(first.refused().await, (SignalErrorCode::HandedOver, 4498));
    let ServerMessage::Welcome { device, .. } = second.next().await else {
        panic!("no welcome");
    };
    assert_eq!(device.unwrap().0, second_device.public());
    assert_eq!(
        server.relay_call().await,
        RelayCall::Restart(session.id, Side::Viewer)
    );
    second.ice().await;
    for present in [false, true] {
        let ServerMessage::Peer { present: told } = host.next().await else {
            panic!("not told who is there");
        };
        assert_eq!(told, present);
    }
    host.send(&sealed(b"for the second")).await;
    assert_eq!(second.sealed().await, b"for the second");

    let mut back = server.viewer_socket(session.id).await;
    back.resume(&first_device).await;
    assert_eq!(back.refused().await, (SignalErrorCode::Unauthorized, 4401));
}

#[tokio::test]
async fn a_refusal_keeps_the_session_and_buys_some_peace() {
    let server = TestServer::start().await;
    let (session, _, _host, mut first) = server.handoff().await;
    let device = TestDevice::new();
    let mut second = asking(&server, &session, &device).await;
    asked(&mut first).await;

    // One question at a time.
    let mut third = server.viewer_socket(session.id).await;
    third.take_over(&session, &TestDevice::new()).await;
    assert_eq!(third.refused().await, KEPT_BY_OTHER_DEVICE);
    assert!(matches!(first.next().await, ServerMessage::SecondClaim {}));

    let commitment = device.commitment();
    first
        .send(&ViewerMessage::TakeoverRefuse { commitment })
        .await;
    assert_eq!(second.refused().await, KEPT_BY_OTHER_DEVICE);

    let mut again = server.viewer_socket(session.id).await;
    again.take_over(&session, &TestDevice::new()).await;
    assert_eq!(again.refused().await, KEPT_BY_OTHER_DEVICE);
    first.send(&ViewerMessage::Restart {}).await;
    first.ice().await;
}

#[tokio::test]
async fn whoever_stops_asking_is_taken_back_and_whoever_is_away_is_asked_on_coming_back() {
    let server = TestServer::start().await;
    let (session, first_device, _host, mut first) = server.handoff().await;
    let second = asking(&server, &session, &TestDevice::new()).await;
    assert!(asked(&mut first).await.is_some());

    let mut again = server.viewer_socket(session.id).await;
    again.resume(&first_device).await;
    assert!(matches!(again.next().await, ServerMessage::Welcome { .. }));
    again.ice().await;
    assert!(asked(&mut again).await.is_some());

    drop(second);
    assert!(asked(&mut again).await.is_none());
}

#[tokio::test]
async fn who_asks_is_told_only_after_the_nonce_and_once_for_each() {
    let server = TestServer::start().await;
    let (session, _, _host, mut first) = server.handoff().await;
    let device = TestDevice::new();
    let mut second = asking(&server, &session, &device).await;
    let commitment = asked(&mut first).await.unwrap();
    let opening = |byte: u8| ViewerMessage::TakeoverOpen {
        opening: Blob::from([byte; 32]),
    };

    // Before the nonce nothing is opened, and a nonce for another question goes nowhere.
    second.send(&opening(1)).await;
    for (commitment, nonce) in [(Blob::from([0; 32]), 2), (commitment, 3)] {
        let nonce = Blob::from([nonce; 32]);
        first
            .send(&ViewerMessage::TakeoverNonce { commitment, nonce })
            .await;
    }
    let ServerMessage::TakeoverNonce { nonce } = second.next().await else {
        panic!("no nonce");
    };
    assert_eq!(nonce, Blob::from([3; 32]));
    for byte in [4, 5, 6] {
        second.send(&opening(byte)).await;
    }
    let ServerMessage::TakeoverOpened {
        device: told,
        opening,
    } = first.next().await
    else {
        panic!("not told who asks");
    };
    assert_eq!(told, Blob::from(device.public()));
    assert_eq!(opening, Blob::from([4; 32]));
    drop(second);
    assert!(asked(&mut first).await.is_none(), "and nothing between");
}

#[tokio::test]
async fn what_has_not_32_bytes_is_refused() {
    let server = TestServer::start().await;
    let (session, _, _host, mut first) = server.handoff().await;
    let mut second = asking(&server, &session, &TestDevice::new()).await;
    let short = || Blob::from([1; 31]);
    let opening = short();
    second.send(&ViewerMessage::TakeoverOpen { opening }).await;
    let malformed = (SignalErrorCode::Malformed, 4400);
    assert_eq!(second.refused().await, malformed);
    let commitment = asked(&mut first).await.unwrap();
    assert!(asked(&mut first).await.is_none());
    let nonce = short();
    first
        .send(&ViewerMessage::TakeoverNonce { commitment, nonce })
        .await;
    assert_eq!(first.refused().await, malformed);
}
