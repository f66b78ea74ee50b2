//! What signaling asks of the relay, and what it does with the answers.

use std::sync::atomic::Ordering;

use authloop_protocol::signal::{ServerMessage, SignalErrorCode};
use authloop_signaling::{LegEvent, Side, SignalingEvent};

use crate::support::{RelayCall, TestDevice, TestServer};

#[tokio::test]
async fn legs_open_with_the_claim_and_close_with_the_end() {
    let server = TestServer::start().await;
    let (session, _, mut host, _viewer) = server.handoff().await;

    host.send_text(r#"{"type":"end","outcome":"resolved"}"#)
        .await;

    assert_eq!(server.relay_call().await, RelayCall::Close(session.id));
}

#[tokio::test]
async fn a_restart_gives_one_side_new_credentials() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());
    let mut viewer = server.viewer(&session, &device).await;
    let before = viewer.ice().await;
    assert_eq!(server.relay_call().await, RelayCall::Open(session.id));

    viewer.send_text(r#"{"type":"restart"}"#).await;

    assert_eq!(
        server.relay_call().await,
        RelayCall::Restart(session.id, Side::Viewer)
    );
    let after = viewer.ice().await;
    assert!(after.generation > before.generation);
    assert_ne!(after.ufrag, before.ufrag);
    assert_eq!(
        server.count(|event| *event == SignalingEvent::Restarted(Side::Viewer)),
        1
    );
}

#[tokio::test]
async fn the_ways_without_udp_come_with_the_leg_s_own_credentials() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());
    let mut viewer = server.viewer(&session, &device).await;

    let ice = viewer.ice().await;

    assert_eq!(ice.tcp, ["127.0.0.1:443".parse().unwrap()]);
    let turn = ice.turn.clone().unwrap();
    assert_eq!(turn.urls, ["turns:relay.example:443?transport=tcp"]);
    assert_eq!((&turn.username, &turn.credential), (&ice.ufrag, &ice.pwd));
    assert!(ice.is_well_formed());
}

#[tokio::test]
async fn a_returning_side_gets_the_newest_credentials() {
    let server = TestServer::start().await;
    let (session, device, _host, mut viewer) = server.handoff().await;
    viewer.send_text(r#"{"type":"restart"}"#).await;
    let newest = viewer.ice().await;
    drop(viewer);

    let mut viewer = server.viewer_socket(session.id).await;
    viewer.resume(&device).await;

    assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
    assert_eq!(viewer.ice().await, newest);
}

#[tokio::test]
async fn an_endpoints_credentials_reach_the_relay_if_they_are_ice_chars() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    let pwd = "a".repeat(22);

    host.send_text(format!(
        r#"{{"type":"ice_local","ufrag":"ab+/","pwd":"{pwd}"}}"#
    ))
    .await;
    let told = RelayCall::SetRemote(session.id, Side::Host, "ab+/".to_owned(), pwd.clone());
    assert_eq!(server.relay_call().await, told);

    let injected = format!(r#"{{"type":"ice_local","ufrag":"abcd\r\na=x","pwd":"{pwd}"}}"#);
    viewer.send_text(injected).await;
    assert_eq!(viewer.refused().await, (SignalErrorCode::Malformed, 4400));
}

#[tokio::test]
async fn a_lost_leg_gets_new_credentials_at_once() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    let registry = server.signaling.registry();

    registry.leg_event(session.id, Side::Viewer, LegEvent::Connected);
    registry.leg_event(session.id, Side::Viewer, LegEvent::Lost);

    assert_eq!(
        server.relay_call().await,
        RelayCall::Restart(session.id, Side::Viewer)
    );
    viewer.ice().await;
    host.send(&crate::support::sealed(b"undisturbed")).await;
    assert_eq!(viewer.sealed().await, b"undisturbed");
}

#[tokio::test]
async fn a_relay_that_forgot_a_session_opens_it_again() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    server.relay.forgets.store(true, Ordering::Relaxed);

    viewer.send_text(r#"{"type":"restart"}"#).await;

    viewer.ice().await;
    host.ice().await;
    assert_eq!(
        server.relay_call().await,
        RelayCall::Restart(session.id, Side::Viewer)
    );
    assert_eq!(server.relay_call().await, RelayCall::Open(session.id));
}

#[tokio::test]
async fn without_a_relay_the_claim_stands_and_the_viewer_may_come_back() {
    let server = TestServer::start().await;
    let (session, device) = (server.session().await, TestDevice::new());
    server.relay.fails.store(true, Ordering::Relaxed);
    let mut viewer = server.viewer(&session, &device).await;
    assert_eq!(viewer.refused().await, (SignalErrorCode::Internal, 4500));
    assert_eq!(
        server.count(|event| *event == SignalingEvent::RelayFailed),
        1
    );

    server.relay.fails.store(false, Ordering::Relaxed);
    let mut viewer = server.viewer_socket(session.id).await;
    viewer.resume(&device).await;

    assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
    viewer.ice().await;
}
