//! Several nodes as one, over a real Redis: whichever a client comes to, and whatever dies.

mod failures;

use std::time::Duration;

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, LegIce, Outcome, ServerMessage, SignalErrorCode},
};
use authloop_signaling::{ApiKeys, ClusterSettings};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::support::{
    RedisServer, TEST_TIMEOUT, TestClient, TestDevice, TestServer, TestSession, sealed,
};

/// One test at a time: a beat that comes late for lack of a processor looks like a death.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn nodes<const N: usize>(redis: &ClusterSettings) -> [TestServer; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(TestServer::node(redis).await);
    }
    let Ok(nodes) = nodes.try_into() else {
        unreachable!()
    };
    meet(&nodes).await;
    nodes
}

/// Waits until every node sees every other, and hears it.
async fn meet<const N: usize>(nodes: &[TestServer; N]) {
    eventually(async || {
        let mut stats = nodes.iter().filter_map(|node| node.signaling.cluster());
        stats.all(|stats| stats.nodes == N && stats.connected)
    })
    .await;
}

async fn eventually(is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < TEST_TIMEOUT, "it never came to be");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn status(node: &TestServer, session: &TestSession) -> Option<serde_json::Value> {
    let url = node.url(&format!("/v1/sessions/{}", session.id));
    let response = crate::support::http().get(url).send().await.unwrap();
    response.json().await.ok()
}

/// Attaches wherever it may, as clients do: again and again.
async fn attach(nodes: &[&TestServer], session: &TestSession) -> TestClient {
    come_back(nodes, async |node: &TestServer| {
        let mut host = node
            .socket(&session.id.to_string(), "host", None)
            .await
            .ok()?;
        host.try_challenge().await?;
        host.send(&HostMessage::Attach {
            host_token: Blob::from(&session.host_token),
        })
        .await;
        matches!(host.try_next().await, Some(ServerMessage::Welcome { .. })).then_some(host)
    })
    .await
}

async fn resume(nodes: &[&TestServer], session: &TestSession, device: &TestDevice) -> TestClient {
    come_back(nodes, async |node: &TestServer| {
        let mut viewer = node
            .socket(&session.id.to_string(), "viewer", None)
            .await
            .ok()?;
        let challenge = viewer.try_challenge().await?;
        viewer.resume_with(device, &challenge).await;
        matches!(viewer.try_next().await, Some(ServerMessage::Welcome { .. })).then_some(viewer)
    })
    .await
}

async fn come_back(
    nodes: &[&TestServer],
    attempt: impl AsyncFn(&TestServer) -> Option<TestClient>,
) -> TestClient {
    let began = Instant::now();
    for node in nodes.iter().cycle() {
        if let Some(client) = attempt(node).await {
            return client;
        }
        assert!(began.elapsed() < TEST_TIMEOUT, "no node took the client");
        sleep(Duration::from_millis(50)).await;
    }
    unreachable!("the cycle has no end")
}

/// Both sides meet and one hears the other, however often they are sent away meanwhile, which a machine
/// short of processors may do: what counts is that it works in the end.
async fn meet_again(
    host_at: &TestServer,
    viewer_at: &TestServer,
    session: &TestSession,
    device: &TestDevice,
) {
    let began = Instant::now();
    loop {
        let mut host = attach(&[host_at], session).await;
        let mut viewer = resume(&[viewer_at], session, device).await;
        host.send(&sealed(b"hello again")).await;
        loop {
            let heard = tokio::select! {
                heard = viewer.try_next() => heard,
                // A message that it sent right before it was sent away may be lost.
                told = host.try_next() => match told {
                    Some(_) => continue,
                    None => break,
                },
            };
            match heard {
                Some(ServerMessage::Sealed { data }) => {
                    assert_eq!(data.0, b"hello again");
                    return;
                }
                Some(_) => {}
                None => break,
            }
        }
        assert!(began.elapsed() < TEST_TIMEOUT, "they never met");
    }
}

/// The next ICE parameters, and whatever comes before them.
async fn ice(client: &mut TestClient) -> LegIce {
    loop {
        if let ServerMessage::Ice(ice) = client.next().await {
            return ice;
        }
    }
}

async fn hears(client: &mut TestClient, data: &[u8]) {
    loop {
        if let ServerMessage::Sealed { data: heard } = client.next().await {
            assert_eq!(heard.0, data);
            return;
        }
    }
}

#[tokio::test]
async fn any_node_takes_any_socket() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let [one, two, three] = nodes(&redis.settings()).await;
    // One of these three lives at each node, so each path is walked.
    for _ in 0..3 {
        let (session, device) = (one.session().await, TestDevice::new());
        let mut host = two.host(&session).await;
        let mut viewer = three.viewer(&session, &device).await;

        let (host_ice, viewer_ice) = (ice(&mut host).await, ice(&mut viewer).await);
        for n in 0..20u8 {
            host.send(&sealed(&[n])).await;
            viewer.send(&sealed(&[n, n])).await;
        }
        for n in 0..20u8 {
            hears(&mut viewer, &[n]).await;
            hears(&mut host, &[n, n]).await;
        }
        viewer.send_text(r#"{"type":"restart"}"#).await;
        let restarted = ice(&mut viewer).await;
        host.send(&HostMessage::End {
            outcome: Outcome::Resolved,
        })
        .await;

        assert_ne!(host_ice.ufrag, viewer_ice.ufrag);
        assert!(restarted.generation > viewer_ice.generation);
        assert_eq!(host.closed().await, 1000);
        assert_eq!(viewer.closed().await, 1000);
        for node in [&one, &two, &three] {
            eventually(async || status(node, &session).await.unwrap()["state"] == "ended").await;
            assert_eq!(status(node, &session).await.unwrap()["outcome"], "resolved");
        }
    }
}

#[tokio::test]
async fn sessions_spread_over_the_nodes_and_are_known_to_all() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let [one, two, three] = nodes(&redis.settings()).await;
    let counts = || [&one, &two, &three].map(|node| node.signaling.registry().counts().created);
    let made = std::cell::Cell::new(0);
    let make = async || {
        let session = one.session().await;
        made.set(made.get() + 1);
        let again = two.create(&session.registration(None)).await;
        assert_eq!(again.status(), 409);
        assert_eq!(status(&three, &session).await.unwrap()["state"], "created");
    };
    for _ in 0..30 {
        make().await;
    }
    eventually(async || {
        // A node that was short of a processor is passed over for a while, but not for good.
        if counts().contains(&0) {
            sleep(Duration::from_millis(200)).await;
            make().await;
        }
        !counts().contains(&0) && counts().iter().sum::<usize>() == made.get()
    })
    .await;
}

#[tokio::test]
async fn a_session_can_be_withdrawn_through_any_node() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let [one, two] = nodes(&redis.settings()).await;
    for node in [&one, &two] {
        let session = one.session().await;
        let mut host = one.host(&session).await;
        let url = node.url(&format!("/v1/sessions/{}", session.id));
        let delete = |token: &[u8]| {
            let token = authloop_protocol::id::to_b64u(token);
            crate::support::http()
                .delete(&url)
                .bearer_auth(token)
                .send()
        };

        let refused = delete(&[0; 32]).await.unwrap().status();
        let done = delete(&session.host_token).await.unwrap().status();

        assert_eq!((refused.as_u16(), done.as_u16()), (401, 204));
        assert_eq!(host.closed().await, 1000);
    }
}

/// Keys are each node's own file's; what they allow does not depend on where the session lives.
#[tokio::test]
async fn a_key_that_may_end_sessions_ends_one_at_any_node() {
    const KEY: &str = "the-key-of-the-operators";
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let redis = redis.settings();
    let node = || {
        TestServer::node_with(&redis, |settings| {
            let text = format!("ops sessions:end+sessions:create {KEY}");
            settings.api_keys = Some(ApiKeys::parse(&text).unwrap());
        })
    };
    let nodes = [node().await, node().await];
    meet(&nodes).await;
    for node in &nodes {
        let session = TestSession::new();
        let create = crate::support::http()
            .post(nodes[0].url("/v1/sessions"))
            .json(&session.registration(None));
        let created = create.bearer_auth(KEY).send().await.unwrap();
        assert_eq!(created.status(), 201);
        let delete = |key: &str| {
            let url = node.url(&format!("/v1/sessions/{}", session.id));
            let request = crate::support::http().delete(url);
            request.bearer_auth(key).send()
        };

        let refused = delete(&"A".repeat(43)).await.unwrap().status();
        let done = delete(KEY).await.unwrap().status();

        assert_eq!((refused.as_u16(), done.as_u16()), (401, 204));
        for node in &nodes {
            eventually(async || {
                let status = status(node, &session).await;
                status.is_some_and(|status| status["outcome"] == "cancelled")
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_claims_at_three_nodes_one_wins() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let nodes: [TestServer; 3] = nodes(&redis.settings()).await;
    let session = nodes[0].session().await;
    let mut host = nodes[1].host(&session).await;

    let start = tokio::sync::Barrier::new(1000);
    let tries = (0..1000).map(async |n: usize| {
        let device = TestDevice::new();
        let mut viewer = nodes[n % 3].viewer_socket(session.id).await;
        let challenge = viewer.challenge().await;
        start.wait().await;
        viewer
            .claim_with(&session, &session.token, &device, &challenge)
            .await;
        match viewer.next().await {
            ServerMessage::Welcome { .. } => Some((device, viewer)),
            // A machine too slow for so many at once tells some to come again.
            ServerMessage::Error { code, .. } => {
                use SignalErrorCode::{AlreadyClaimed, Internal};
                assert!(matches!(code, AlreadyClaimed | Internal), "{code:?}");
                None
            }
            other => panic!("{other:?}"),
        }
    });
    let winners: Vec<_> = join_all(tries).await.into_iter().flatten().collect();

    assert_eq!(winners.len(), 1);
    let ServerMessage::Claimed { device } = host.next().await else {
        panic!("not told of the claim");
    };
    assert_eq!(device.0, winners[0].0.public());
    let claimed = nodes
        .iter()
        .map(|node| node.signaling.registry().counts().claimed);
    assert_eq!(claimed.sum::<usize>(), 1);
}

#[tokio::test]
async fn a_node_cut_off_from_redis_lets_nobody_claim_what_others_took_over() {
    let _only = ONE_AT_A_TIME.lock().await;
    let redis = RedisServer::start().await;
    let proxy = redis.proxy().await;
    let cut_off = TestServer::node(&proxy.settings).await;
    let session = cut_off.session().await;
    let mut host = cut_off.host(&session).await;

    proxy.cut();
    // So that the one that is cut off has never heard of it.
    let other = TestServer::node(&redis.settings()).await;
    let mut late = cut_off.viewer_socket(session.id).await;
    late.claim(&session, &TestDevice::new()).await;
    let refused = late.refused().await.0;
    let winner = TestDevice::new();
    let viewer = come_back(&[&other], async |node: &TestServer| {
        let mut viewer = node.viewer_socket(session.id).await;
        let challenge = viewer.try_challenge().await?;
        viewer
            .claim_with(&session, &session.token, &winner, &challenge)
            .await;
        matches!(viewer.try_next().await, Some(ServerMessage::Welcome { .. })).then_some(viewer)
    })
    .await;
    proxy.mend();
    let sent_away = host.closed().await;
    // While it learns what happened it may send clients away, but it must never let this one in.
    come_back(&[&cut_off], async |node: &TestServer| {
        let mut late = node.viewer_socket(session.id).await;
        let challenge = late.try_challenge().await?;
        late.claim_with(&session, &session.token, &TestDevice::new(), &challenge)
            .await;
        match late.try_next().await? {
            ServerMessage::Error {
                code: SignalErrorCode::AlreadyClaimed,
                ..
            } => Some(late),
            ServerMessage::Error { .. } => None,
            other => panic!("it was let in: {other:?}"),
        }
    })
    .await;
    drop(viewer);
    meet_again(&cut_off, &other, &session, &winner).await;

    assert_eq!(refused, SignalErrorCode::Internal);
    assert_eq!(sent_away, 1012);
    let stats = cut_off.signaling.cluster().unwrap();
    assert_eq!(stats.taken_over, 0, "by an old list of the nodes");
}
