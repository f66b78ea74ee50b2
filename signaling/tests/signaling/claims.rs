//! Who gets a session, and who does not.

use authloop_protocol::{
    device::claim_message,
    id::Blob,
    signal::{HostMessage, ServerMessage, SessionState, SignalErrorCode, ViewerMessage},
};
use authloop_signaling::SignalingEvent;
use futures_util::future::join_all;

use crate::support::{TestDevice, TestServer, TestSession};

#[tokio::test]
async fn a_host_and_a_viewer_meet() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());

    let mut host = server.host_socket(session.id).await;
    host.challenge().await;
    host.send(&HostMessage::Attach {
        host_token: Blob::from(&session.host_token),
    })
    .await;
    let ServerMessage::Welcome {
        state,
        peer,
        device: none,
        expires_at,
        first_frame: false,
    } = host.next().await
    else {
        panic!("no welcome");
    };
    assert_eq!((state, peer, none), (SessionState::Created, false, None));
    assert_eq!(expires_at, session.expires);

    let mut viewer = server.viewer_socket(session.id).await;
    viewer.claim(&session, &device).await;
    let ServerMessage::Welcome {
        state,
        peer,
        device: winner,
        first_frame: true,
        ..
    } = viewer.next().await
    else {
        panic!("no welcome");
    };
    assert_eq!((state, peer), (SessionState::Claimed, true));
    assert_eq!(winner.unwrap().0, device.public());
    let viewer_ice = viewer.ice().await;

    let ServerMessage::Claimed { device: winner } = host.next().await else {
        panic!("not told of the claim");
    };
    assert_eq!(winner.0, device.public());
    assert!(matches!(
        host.next().await,
        ServerMessage::Peer { present: true }
    ));
    let host_ice = host.ice().await;
    assert_ne!(host_ice.ufrag, viewer_ice.ufrag);
    assert_ne!(host_ice.pwd, viewer_ice.pwd);
    assert_eq!(
        server.count(|event| matches!(event, SignalingEvent::Claimed { .. })),
        1
    );
}

#[tokio::test]
async fn a_claim_needs_the_token_and_a_signature_over_this_challenge() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());
    let unauthorized = (SignalErrorCode::Unauthorized, 4401);

    let mut wrong_token = server.viewer_socket(session.id).await;
    let challenge = wrong_token.challenge().await;
    wrong_token
        .claim_with(&session, &[7; 32], &device, &challenge)
        .await;
    assert_eq!(wrong_token.refused().await, unauthorized);

    let mut replay = server.viewer_socket(session.id).await;
    assert_ne!(replay.challenge().await, challenge);
    replay
        .claim_with(&session, &session.token, &device, &challenge)
        .await;
    assert_eq!(replay.refused().await, unauthorized);

    let mut other_session = server.viewer_socket(session.id).await;
    let challenge = other_session.challenge().await;
    let message = claim_message(TestSession::new().id, &challenge, &session.token);
    other_session
        .send(&ViewerMessage::Claim {
            token: Blob::from(session.token),
            device: Blob::from(device.public()),
            signature: device.sign(&message),
        })
        .await;
    assert_eq!(other_session.refused().await, unauthorized);

    let mut other_signer = server.viewer_socket(session.id).await;
    let challenge = other_signer.challenge().await;
    let message = claim_message(session.id, &challenge, &session.token);
    other_signer
        .send(&ViewerMessage::Claim {
            token: Blob::from(session.token),
            device: Blob::from(device.public()),
            signature: TestDevice::new().sign(&message),
        })
        .await;
    assert_eq!(other_signer.refused().await, unauthorized);

    assert_eq!(server.signaling.registry().counts().claimed, 0);
    server.viewer(&session, &device).await;
}

#[tokio::test]
async fn a_device_that_is_no_point_is_malformed() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut viewer = server.viewer_socket(session.id).await;
    viewer.challenge().await;
    viewer
        .send(&ViewerMessage::Claim {
            token: Blob::from(session.token),
            device: Blob::from([4; 65]),
            signature: Blob::from([0; 64]),
        })
        .await;
    assert_eq!(viewer.refused().await, (SignalErrorCode::Malformed, 4400));
}

#[tokio::test]
async fn a_second_claim_changes_nothing_and_is_told_to_both() {
    let server = TestServer::start().await;
    let (session, device, mut host, mut viewer) = server.handoff().await;

    let mut second = server.viewer_socket(session.id).await;
    second.claim(&session, &TestDevice::new()).await;

    assert_eq!(
        second.refused().await,
        (SignalErrorCode::AlreadyClaimed, 4409)
    );
    assert!(matches!(host.next().await, ServerMessage::SecondClaim {}));
    assert!(matches!(viewer.next().await, ServerMessage::SecondClaim {}));
    host.send(&crate::support::sealed(b"still here")).await;
    assert_eq!(viewer.sealed().await, b"still here");
    assert_eq!(
        server.count(|event| *event == SignalingEvent::SecondClaim),
        1
    );
    let mut back = server.viewer_socket(session.id).await;
    back.resume(&device).await;
    assert!(matches!(back.next().await, ServerMessage::Welcome { .. }));
}

#[tokio::test]
async fn many_second_claims_do_not_flood_the_winner() {
    let server = TestServer::with(|settings| settings.sockets.max_queued_messages = 20).await;
    let (session, _, mut host, mut viewer) = server.handoff().await;

    for _ in 0..40 {
        let mut second = server.viewer_socket(session.id).await;
        second.claim(&session, &TestDevice::new()).await;
        assert_eq!(second.refused().await.1, 4409);
    }

    host.send(&crate::support::sealed(b"here")).await;
    let mut notices = 0;
    while let ServerMessage::SecondClaim {} = viewer.next().await {
        notices += 1;
    }
    assert!((1..40).contains(&notices), "{notices}");
}

#[tokio::test]
async fn the_winner_may_claim_again_as_when_its_welcome_was_lost() {
    let server = TestServer::start().await;
    let (session, device, _host, mut first) = server.handoff().await;

    let mut again = server.viewer(&session, &device).await;

    again.ice().await;
    assert_eq!(first.refused().await, (SignalErrorCode::Replaced, 4499));
    assert_eq!(
        server.count(|event| *event == SignalingEvent::SecondClaim),
        0
    );
}

#[tokio::test]
async fn only_the_winner_resumes() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let device = TestDevice::new();

    let mut early = server.viewer_socket(session.id).await;
    early.resume(&device).await;
    assert_eq!(early.refused().await, (SignalErrorCode::Unauthorized, 4401));

    let viewer = server.viewer(&session, &device).await;
    let mut wrong = server.viewer_socket(session.id).await;
    wrong.resume(&TestDevice::new()).await;
    assert_eq!(wrong.refused().await, (SignalErrorCode::Unauthorized, 4401));

    drop(viewer);
    let mut right = server.viewer_socket(session.id).await;
    right.resume(&device).await;
    assert!(matches!(right.next().await, ServerMessage::Welcome { .. }));
}

#[tokio::test]
async fn a_resume_signature_works_once_only() {
    let server = TestServer::start().await;
    let (session, device, _host, _viewer) = server.handoff().await;
    let mut first = server.viewer_socket(session.id).await;
    let challenge = first.challenge().await;
    let signature = device.sign(&authloop_protocol::device::resume_message(
        session.id, &challenge,
    ));

    let mut thief = server.viewer_socket(session.id).await;
    thief.challenge().await;
    thief.send(&ViewerMessage::Resume { signature }).await;

    assert_eq!(thief.refused().await, (SignalErrorCode::Unauthorized, 4401));
}

#[tokio::test]
async fn a_host_needs_its_token() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut host = server.host_socket(session.id).await;
    host.challenge().await;
    host.send(&HostMessage::Attach {
        host_token: Blob::from([0; 32]),
    })
    .await;
    assert_eq!(host.refused().await, (SignalErrorCode::Unauthorized, 4401));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_sockets_one_wins() {
    let server = TestServer::with(|settings| {
        settings.rates.claim_burst = 1000.try_into().unwrap();
    })
    .await;
    let session = server.session().await;

    let tries = (0..100).map(async |_| {
        let mut viewer = server.viewer_socket(session.id).await;
        viewer.claim(&session, &TestDevice::new()).await;
        match viewer.next().await {
            ServerMessage::Welcome { .. } => Some(viewer),
            ServerMessage::Error { code, .. } => {
                assert_eq!(code, SignalErrorCode::AlreadyClaimed);
                None
            }
            other => panic!("{other:?}"),
        }
    });
    let winners = join_all(tries).await.into_iter().flatten().count();

    assert_eq!(winners, 1);
    assert_eq!(server.signaling.registry().counts().claimed, 1);
}

#[tokio::test]
async fn an_address_that_tries_too_often_has_to_wait() {
    let server = TestServer::with(|settings| {
        settings.rates.claim_burst = 1.try_into().unwrap();
        settings.rates.claim_per_second = 1.try_into().unwrap();
    })
    .await;
    let session = server.session().await;
    let mut first = server.viewer_socket(session.id).await;
    let challenge = first.challenge().await;
    first
        .claim_with(&session, &[0; 32], &TestDevice::new(), &challenge)
        .await;
    assert_eq!(first.refused().await.1, 4401);

    let mut second = server.viewer_socket(session.id).await;
    second.claim(&session, &TestDevice::new()).await;

    assert_eq!(second.refused().await, (SignalErrorCode::RateLimited, 4429));
}

#[tokio::test]
async fn pages_of_other_origins_open_no_socket() {
    let server = TestServer::with(|settings| {
        settings.viewer_origins = vec!["https://viewer.example".parse().unwrap()];
    })
    .await;
    let session = server.session().await;
    let id = session.id.to_string();
    let own = format!("http://{}", server.address);

    assert!(
        server
            .socket(&id, "viewer", Some("https://evil.example"))
            .await
            .is_err()
    );
    assert!(server.socket(&id, "viewer", Some("null")).await.is_err());
    assert!(server.socket(&id, "host", Some(&own)).await.is_err());
    for origin in [Some(own.as_str()), Some("https://viewer.example"), None] {
        let mut viewer = server.socket(&id, "viewer", origin).await.unwrap();
        viewer.challenge().await;
    }
    assert_eq!(
        server.count(|event| *event == SignalingEvent::HttpRejected("unauthorized")),
        3
    );
}
