//! What a host may register, and what comes of it.

use authloop_protocol::{
    id::to_b64u,
    signal::{ServerMessage, SessionCreated, SessionState, WallType},
};
use authloop_signaling::SignalingEvent;
use serde_json::{Value, json};

use super::{delete, error, status};
use crate::support::{TestDevice, TestServer, TestSession, http, unix_now};

#[tokio::test]
async fn an_id_is_taken_once() {
    let server = TestServer::start().await;
    let session = server.session().await;

    let again = server.create(&session.registration(None)).await;

    assert_eq!(error(again).await, (409, "conflict".to_owned()));
}

#[tokio::test]
async fn a_life_is_bounded_by_a_day() {
    let server = TestServer::start().await;
    let session = server
        .register(TestSession::expiring_in(90_000), None)
        .await;
    let left = status(&server, &session).await.expires_at - unix_now();
    assert!((86_390..=86_400).contains(&left), "{left}");
}

#[tokio::test]
async fn every_bad_registration_is_refused_with_a_reason() {
    let server = TestServer::start().await;
    let good = || TestSession::new().registration(None);
    let with = |key: &str, value: Value| {
        let mut body = good();
        body[key] = value;
        body
    };
    let mut expired = TestSession::new();
    expired.expires = unix_now() - 1;
    let bodies = [
        json!({}),
        json!([]),
        with("surprise", json!(1)),
        with("id", json!(to_b64u(&[0; 15]))),
        with("id", json!(to_b64u(&[0; 16]))),
        with("claim_hash", json!(to_b64u(&[0; 31]))),
        with("claim_hash", json!("not base64url!")),
        with("invitation", json!(to_b64u(b"{}"))),
        with("invitation", json!(to_b64u(&[b' '; 8193]))),
        with("device", json!(to_b64u(&[4; 65]))),
        expired.registration(None),
    ];
    for body in &bodies {
        let refused = server.create(body).await;
        assert_eq!(
            error(refused).await,
            (400, "bad_request".to_owned()),
            "{body}"
        );
    }
    let counted = server.count(|event| *event == SignalingEvent::HttpRejected("bad_request"));
    assert_eq!(counted, bodies.len());
    assert_eq!(server.signaling.registry().counts().created, 0);
}

#[tokio::test]
async fn a_body_must_be_json_and_small() {
    let server = TestServer::start().await;
    let client = http();
    let url = server.url("/v1/sessions");

    let form = client
        .post(&url)
        .body(TestSession::new().registration(None).to_string());
    let large = client.post(&url).json(&json!({"id": "a".repeat(100_000)}));

    assert_eq!(error(form.send().await.unwrap()).await.0, 400);
    assert_eq!(
        error(large.send().await.unwrap()).await,
        (413, "too_large".to_owned())
    );
}

#[tokio::test]
async fn a_wall_type_is_counted_by_its_kind_and_shown_to_nobody() {
    let server = TestServer::start().await;
    for (given, counted) in [
        (None, None),
        (Some("captcha"), Some(WallType::Captcha)),
        (Some("retina_scan"), Some(WallType::Other)),
    ] {
        let mut session = TestSession::new();
        let mut body = session.registration(None);
        if let Some(given) = given {
            body["wall_type"] = given.into();
        }
        let created: SessionCreated = server.create(&body).await.json().await.unwrap();
        session.host_token = created.host_token.0;
        let url = server.url(&format!("/v1/sessions/{}", session.id));
        let shown = http().get(url).send().await.unwrap().text().await.unwrap();
        assert!(!shown.contains("wall"), "{shown}");
        delete(&server, &session, &session.host_token).await;
        let ended = server.count(
            |event| matches!(event, SignalingEvent::Ended { wall_type, .. } if *wall_type == counted),
        );
        assert_eq!(ended, 1, "{given:?}");
    }
}

#[tokio::test]
async fn a_host_may_bring_back_a_session_that_the_server_forgot() {
    let server = TestServer::start().await;
    let (device, other) = (TestDevice::new(), TestDevice::new());
    let session = server.register(TestSession::new(), Some(&device)).await;
    assert_eq!(status(&server, &session).await.state, SessionState::Claimed);

    let mut viewer = server.viewer_socket(session.id).await;
    viewer.resume(&device).await;
    assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
    viewer.ice().await;

    let mut stranger = server.viewer_socket(session.id).await;
    stranger.claim(&session, &other).await;
    assert_eq!(stranger.refused().await.1, 4409);
}
