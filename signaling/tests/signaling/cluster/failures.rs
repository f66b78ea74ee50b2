//! A node or Redis goes away, and the sessions go on.

use std::time::Duration;

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, ServerMessage, SignalErrorCode},
};
use authloop_signaling::Cluster;
use tokio::time::{Instant, sleep};

use super::{
    ONE_AT_A_TIME, attach, eventually, hears, ice, meet, meet_again, nodes, resume, status,
};
use crate::support::{RedisServer, TestDevice, TestServer, TestSession, sealed};

/// A killed node is found out at the next beat, and clients come back in less than a second more; a machine
/// that tests other things beside takes longer.
const MAX_FAILOVER: Duration = Duration::from_secs(6);

#[tokio::test]
async fn when_its_node_dies_a_session_goes_on_at_another() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let [mut one, two, three] = nodes(&redis.settings()).await;
    // Registered until one lives at the node that will die.
    let (session, device) = loop {
        let session = one.session().await;
        let here = one.signaling.registry().counts().created;
        sleep(Duration::from_millis(10)).await;
        if here > 0 {
            break (session, TestDevice::new());
        }
    };
    let mut host = two.host(&session).await;
    let mut viewer = one.viewer(&session, &device).await;
    let before = (ice(&mut host).await, ice(&mut viewer).await);
    let owned = one.signaling.registry().counts().claimed == 1;

    let began = Instant::now();
    one.kill();
    drop(viewer);
    let mut viewer = resume(&[&three, &two], &session, &device).await;
    let viewer_ice = ice(&mut viewer).await;
    // The host's socket is at a living node, which sends it back as soon as it knows.
    assert_eq!(host.closed().await, 1012);
    let mut host = attach(&[&two], &session).await;
    let host_ice = ice(&mut host).await;
    let gap = began.elapsed();
    host.send(&sealed(b"after")).await;
    hears(&mut viewer, b"after").await;

    assert!(owned, "the session lived elsewhere");
    assert!(host_ice.generation > before.0.generation);
    assert!(viewer_ice.generation > before.1.generation);
    assert_ne!(host_ice.ufrag, before.0.ufrag);
    assert!(gap < MAX_FAILOVER, "{gap:?}");
    assert_eq!(status(&two, &session).await.unwrap()["state"], "claimed");
}

#[tokio::test]
async fn a_device_that_took_over_keeps_the_session_when_its_node_dies() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let mut one = TestServer::node(&redis.settings()).await;
    let (session, first) = (one.session().await, TestDevice::new());
    let mut host = one.host(&session).await;
    let holder = one.viewer(&session, &first).await;
    let two = TestServer::node(&redis.settings()).await;
    let second = TestDevice::new();
    let mut asking = two.viewer_socket(session.id).await;
    asking.take_over(&session, &second).await;
    assert!(matches!(asking.next().await, ServerMessage::Waiting {}));

    let device = Blob::from(second.public());
    host.send(&HostMessage::HandOver { device }).await;
    assert!(matches!(asking.next().await, ServerMessage::Welcome { .. }));
    // Until Redis has it: the node dies of what comes next.
    eventually(async || {
        let mut back = two.viewer_socket(session.id).await;
        let challenge = back.challenge().await;
        back.resume_with(&second, &challenge).await;
        matches!(back.try_next().await, Some(ServerMessage::Welcome { .. }))
    })
    .await;
    one.kill();
    drop((holder, host, asking));

    meet_again(&two, &two, &session, &second).await;
    let mut late = two.viewer_socket(session.id).await;
    late.resume(&first).await;
    assert_eq!(late.refused().await.0, SignalErrorCode::Unauthorized);
}

#[tokio::test]
async fn a_redis_that_restarts_empty_learns_of_the_sessions_again() {
    let _only = ONE_AT_A_TIME.lock().await;
    let mut redis = RedisServer::start().await;
    let both: [TestServer; 2] = nodes(&redis.settings()).await;
    let [one, two] = &both;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let (session, device) = (one.session().await, TestDevice::new());
        drop(one.viewer(&session, &device).await);
        sessions.push((session, device));
    }

    redis.restart(Duration::from_millis(1200)).await;
    meet(&both).await;

    for (session, device) in &sessions {
        for node in [one, two] {
            eventually(async || {
                status(node, session)
                    .await
                    .is_some_and(|status| status["state"] == "claimed")
            })
            .await;
        }
        meet_again(two, one, session, device).await;
    }
}

#[tokio::test]
async fn without_redis_new_sessions_are_refused_and_old_ones_go_on() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let proxy = redis.proxy().await;
    let alone = TestServer::node(&proxy.settings).await;
    let (session, device) = (alone.session().await, TestDevice::new());
    let mut host = alone.host(&session).await;
    let mut viewer = alone.viewer(&session, &device).await;

    proxy.cut();
    let refused = alone.create(&TestSession::new().registration(None)).await;
    host.send(&sealed(b"on")).await;
    hears(&mut viewer, b"on").await;
    drop(viewer);
    let mut viewer = resume(&[&alone], &session, &device).await;
    host.send(&sealed(b"and on")).await;
    hears(&mut viewer, b"and on").await;

    assert_eq!(refused.status(), 503);
}

/// Waits until a node takes new sessions.
async fn takes_sessions(node: &TestServer) {
    eventually(async || {
        let registration = TestSession::new().registration(None);
        node.create(&registration).await.status() == 201
    })
    .await;
}

#[tokio::test]
async fn a_connection_to_redis_that_falls_silent_is_replaced() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let proxy = redis.proxy().await;
    let both: [TestServer; 2] = nodes(&proxy.settings).await;
    let (session, device) = (both[0].session().await, TestDevice::new());
    drop(both[0].viewer(&session, &device).await);

    proxy.forget();
    let refused = both[0].create(&TestSession::new().registration(None)).await;
    assert_eq!(refused.status(), 503);

    for node in &both {
        takes_sessions(node).await;
    }
    meet(&both).await;
    meet_again(&both[1], &both[0], &session, &device).await;
}

#[tokio::test]
async fn after_a_failover_behind_one_address_the_primary_is_found() {
    let _only = ONE_AT_A_TIME.lock().await;
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    let proxy = old.proxy().await;
    let both: [TestServer; 2] = nodes(&proxy.settings).await;
    let (session, device) = (both[0].session().await, TestDevice::new());
    drop(both[0].viewer(&session, &device).await);

    proxy.lead_to(&new);
    old.become_replica().await;

    for node in &both {
        takes_sessions(node).await;
    }
    meet(&both).await;
    meet_again(&both[1], &both[0], &session, &device).await;
}

#[tokio::test]
async fn a_node_without_beats_says_so() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let proxy = redis.proxy().await;
    let node = TestServer::node(&proxy.settings).await;
    let lapsed = async || node.signaling.cluster().is_some_and(|stats| stats.lapsed);
    assert!(!lapsed().await);

    proxy.cut();
    eventually(lapsed).await;
    proxy.mend();
    eventually(async || !lapsed().await).await;
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_refused_with_a_word() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    redis.become_replica().await;
    let error = Cluster::try_out(&redis.settings()).await.unwrap_err();
    assert!(error.to_string().contains("replica"), "{error}");
}

#[tokio::test]
async fn a_node_that_leaves_gives_its_sessions_away() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let [leaving, staying] = nodes(&redis.settings()).await;
    let mut handoffs = Vec::new();
    for _ in 0..20 {
        let (session, device) = (leaving.session().await, TestDevice::new());
        let host = leaving.host(&session).await;
        let viewer = leaving.viewer(&session, &device).await;
        handoffs.push((session, device, host, viewer));
    }

    leaving.signaling.drain().await;

    for (session, device, mut host, mut viewer) in handoffs {
        assert_eq!((host.closed().await, viewer.closed().await), (1012, 1012));
        meet_again(&staying, &staying, &session, &device).await;
    }
    let counts = staying.signaling.registry().counts();
    assert_eq!((counts.claimed, counts.ended), (20, 0));
    assert_eq!(leaving.signaling.registry().counts().claimed, 0);
}
