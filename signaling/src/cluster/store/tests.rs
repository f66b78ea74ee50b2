//! The scripts, at a Redis.

use std::sync::Arc;

use authloop_bearer::SecretHash;
use authloop_signaling_testkit::{RedisServer, TEST_TIMEOUT, TestDevice};
use tokio::time::{Instant, sleep};

use super::*;

const ME: NodeId = NodeId::from_bytes([1; 8]);
const OTHER: NodeId = NodeId::from_bytes([2; 8]);
const RETENTION: Duration = Duration::from_secs(1);

async fn store(redis: &RedisServer) -> Store {
    Store::connect(&redis.url(), "test".to_owned())
        .await
        .unwrap()
}

fn device() -> Option<DeviceKey> {
    DeviceKey::parse(&TestDevice::new().public())
}

fn record(owner: NodeId, epoch: u64, device: Option<DeviceKey>) -> Record {
    Record {
        id: SessionId([7; 16]),
        owner,
        epoch,
        invitation: Arc::from([1u8].as_slice()),
        claim_hash: SecretHash::of(b"claim"),
        host_token: SecretHash::of(b"host"),
        device,
        expires_at: crate::clock::unix_millis() / 1000 + 600,
        created_unix_ms: crate::clock::unix_millis(),
        wall_type: None,
        outcome: None,
    }
}

#[tokio::test]
async fn a_lower_epoch_never_replaces_a_higher_one() {
    let redis = RedisServer::start().await;
    let store = store(&redis).await;
    let mine = record(ME, 2, device());
    // What Redis may say, and whether this node's record takes its place.
    for (theirs, replaced) in [
        (None, true),
        (Some(record(OTHER, 1, None)), true),
        (Some(record(OTHER, 1, device())), true),
        (Some(record(OTHER, 2, None)), true),
        (Some(mine.clone()), true),
        (Some(record(OTHER, 2, device())), false),
        (Some(record(OTHER, 3, None)), false),
    ] {
        if let Some(theirs) = &theirs {
            assert!(store.create(theirs, RETENTION).await.unwrap());
        }
        assert_eq!(
            store.restore(&mine, RETENTION).await.unwrap(),
            replaced,
            "{theirs:?}"
        );
        let found = store.load(mine.id).await.unwrap().unwrap();
        assert_eq!(found.owner == ME, replaced, "{theirs:?}");
        let mut connection = store.connection.get();
        let _: i64 = connection.del(store.key(mine.id)).await.unwrap();
    }
}

#[tokio::test]
async fn what_has_ended_stays_so_when_it_is_forgotten() {
    let redis = RedisServer::start().await;
    let store = store(&redis).await;
    let mine = record(ME, 1, None);
    assert!(store.create(&mine, RETENTION).await.unwrap());
    store
        .end(mine.id, Outcome::Resolved, RETENTION)
        .await
        .unwrap();
    assert!(!store.restore(&mine, RETENTION).await.unwrap());

    let began = Instant::now();
    while store.load(mine.id).await.unwrap().is_some() {
        assert!(began.elapsed() < TEST_TIMEOUT);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!store.restore(&mine, RETENTION).await.unwrap());
}

#[tokio::test]
async fn a_clock_that_is_ahead_takes_nothing_from_a_session() {
    let redis = RedisServer::start().await;
    let (right, ahead) = (store(&redis).await, store(&redis).await);
    ahead.clock_ahead_ms.store(3_600_000, Ordering::Relaxed);
    let mine = record(ME, 1, None);

    assert!(right.create(&mine, RETENTION).await.unwrap());
    let seen = ahead.load(mine.id).await.unwrap().unwrap();
    assert_eq!(seen.expires_at, mine.expires_at + 3600);
    assert!(
        ahead
            .restore(&record(ME, 2, None).shifted(3_600_000), RETENTION)
            .await
            .unwrap()
    );
    let back = right.load(mine.id).await.unwrap().unwrap();
    assert!(back.expires_at.abs_diff(mine.expires_at) <= 1, "{back:?}");
}

#[tokio::test]
async fn a_beat_tells_how_far_the_clocks_are_apart() {
    let redis = RedisServer::start().await;
    let store = store(&redis).await;
    store.clock_ahead_ms.store(3_600_000, Ordering::Relaxed);
    let load = crate::cluster::nodes::Load::Sessions(0);
    let beat = store.heartbeat(ME, load).await.unwrap();
    assert_eq!(beat.loads.len(), 1);
    assert!(store.clock_ahead().abs() < 5000, "{}", store.clock_ahead());
}
