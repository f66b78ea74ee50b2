//! The race for a claim, expiry and forgetting, without sockets; time is paused where it matters.

use std::{sync::Barrier, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use p256::ecdsa::SigningKey;
use tokio::time::sleep;

use super::*;
use crate::{
    byte_budget::ByteBudget,
    observer::NoopObserver,
    outbox::{self, Closing, OutboxReceiver, OutgoingFrame},
    relay::{LegParameters, RelayError, SessionLegs},
    settings::RegistrySettings,
    side::MAILBOX_RETENTION,
};

const TOKEN: &[u8] = b"claim token";
const HOST_TOKEN: &[u8] = b"host token";
const LIFE: Duration = Duration::from_secs(60);

struct NoRelay;

#[async_trait]
impl Relay for NoRelay {
    async fn open(&self, _: SessionId) -> Result<SessionLegs, RelayError> {
        Err(RelayError::Stopped)
    }

    async fn restart(&self, _: SessionId, _: Side) -> Result<LegParameters, RelayError> {
        Err(RelayError::Stopped)
    }

    async fn set_remote(&self, _: SessionId, _: Side, _: String, _: String) {}

    async fn close(&self, _: SessionId) {}
}

fn registry(change: impl FnOnce(&mut RegistrySettings)) -> Registry {
    let mut settings = RegistrySettings::default();
    change(&mut settings);
    Registry::start(settings, Arc::new(NoRelay), Arc::new(NoopObserver))
}

fn register(registry: &Registry, number: u16) -> Result<SessionId, RegisterError> {
    register_for(registry, number, LIFE)
}

fn register_for(
    registry: &Registry,
    number: u16,
    life: Duration,
) -> Result<SessionId, RegisterError> {
    let mut id = SessionId([0; 16]);
    id.0[..2].copy_from_slice(&number.to_be_bytes());
    let registration = Registration {
        wall_type: None,
        id,
        invitation: Arc::from([]),
        claim_hash: SecretHash::of(TOKEN),
        host_token: SecretHash::of(HOST_TOKEN),
        device: None,
        expires_at: 0,
        deadline: Instant::now() + life,
        epoch: 0,
        created_unix_ms: 0,
    };
    registry.register(registration, 0).map(|()| id)
}

fn device(number: u16) -> DeviceKey {
    let mut secret = [1; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_slice(&secret).unwrap();
    DeviceKey::parse(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn claim(
    registry: &Registry,
    id: SessionId,
    device: DeviceKey,
) -> Result<(Attachment, OutboxReceiver), SignalErrorCode> {
    let (outbox, outbox_rx) = outbox::channel(32, &ByteBudget::default());
    let token = SecretHash::of(TOKEN);
    let claim = claim_with(device, ClaimPermit::SingleNode);
    let attachment = registry.claim(id, &token, claim, |_| true, outbox)?;
    Ok((attachment, outbox_rx))
}

fn claim_with(device: DeviceKey, permit: ClaimPermit) -> Claim {
    Claim {
        device,
        request: ClaimRequest::Claim,
        permit,
    }
}

async fn closing(outbox_rx: &mut OutboxReceiver) -> Closing {
    loop {
        if let OutgoingFrame::Close(closing) = outbox_rx.next().await {
            return closing;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_contenders_exactly_one_wins() {
    const THREADS: u16 = 20;
    const EACH: u16 = 50;
    for round in 0..20 {
        let registry = registry(|_| {});
        let id = register(&registry, round).unwrap();
        let devices: Vec<Vec<DeviceKey>> = (0..THREADS)
            .map(|thread| (0..EACH).map(|n| device(thread * EACH + n)).collect())
            .collect();
        let barrier = Barrier::new(devices.len());
        let handle = tokio::runtime::Handle::current();
        let (registry, barrier, handle) = (&registry, &barrier, &handle);

        let wins: Vec<(Attachment, OutboxReceiver)> = std::thread::scope(|scope| {
            let threads: Vec<_> = devices
                .into_iter()
                .map(|devices| {
                    scope.spawn(move || {
                        let _runtime = handle.enter();
                        barrier.wait();
                        let tries = devices
                            .into_iter()
                            .map(|device| claim(registry, id, device));
                        let (wins, losses): (Vec<_>, Vec<_>) = tries.partition(Result::is_ok);
                        for loss in losses {
                            assert_eq!(loss.err(), Some(SignalErrorCode::AlreadyClaimed));
                        }
                        wins.into_iter().flatten().collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });

        assert_eq!(wins.len(), 1);
        let counts = registry.counts();
        assert_eq!((counts.created, counts.claimed), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_on_time_is_remembered_and_then_forgotten() {
    let registry = registry(|_| {});
    let id = register(&registry, 1).unwrap();
    let (outbox, mut outbox_rx) = outbox::channel(8, &ByteBudget::default());
    let host = registry
        .attach_host(id, &SecretHash::of(HOST_TOKEN), outbox)
        .unwrap();

    sleep(LIFE - Duration::from_millis(2)).await;
    assert_eq!(registry.check_open(id), Ok(()));
    assert_eq!(closing(&mut outbox_rx).await, Closing::Normal);
    assert_eq!(registry.check_open(id), Err(SignalErrorCode::Ended));
    assert_eq!(registry.status(id).unwrap().outcome, Some(Outcome::Expired));
    assert_eq!(register(&registry, 1), Err(RegisterError::Known));

    sleep(RegistrySettings::default().retention + Duration::from_millis(2)).await;
    assert_eq!(registry.check_open(id), Err(SignalErrorCode::NotFound));
    assert_eq!(
        registry.counts(),
        SessionCounts {
            created: 0,
            claimed: 0,
            ended: 0
        }
    );
    drop(host);
    register(&registry, 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_ids_old_timers_do_not_touch_its_new_session() {
    let registry = registry(|settings| settings.retention = Duration::from_secs(1));
    let id = register(&registry, 1).unwrap();
    registry
        .cancel(id, &CancelRight::Host(SecretHash::of(HOST_TOKEN)))
        .unwrap();
    sleep(LIFE - Duration::from_secs(1)).await;

    register(&registry, 1).unwrap();
    sleep(Duration::from_secs(5)).await;

    assert_eq!(registry.check_open(id), Ok(()));
    assert_eq!(
        registry.counts(),
        SessionCounts {
            created: 1,
            claimed: 0,
            ended: 0
        }
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_expire_in_any_order_of_registration() {
    let registry = registry(|_| {});
    let early = register(&registry, 1).unwrap();
    sleep(LIFE / 2).await;
    let late = register(&registry, 2).unwrap();

    sleep(LIFE / 2 + Duration::from_secs(1)).await;

    assert_eq!(registry.check_open(early), Err(SignalErrorCode::Ended));
    assert_eq!(registry.check_open(late), Ok(()));
}

#[tokio::test]
async fn ended_sessions_are_bounded_and_the_oldest_goes_first() {
    let registry = registry(|settings| settings.max_ended = 3);
    let ids: Vec<SessionId> = (0..5)
        .map(|number| register(&registry, number).unwrap())
        .collect();
    for id in &ids {
        registry
            .cancel(*id, &CancelRight::Host(SecretHash::of(HOST_TOKEN)))
            .unwrap();
    }
    let known: Vec<bool> = ids
        .iter()
        .map(|id| registry.status(*id).is_some())
        .collect();
    assert_eq!(known, [false, false, true, true, true]);
    assert_eq!(registry.counts().ended, 3);
}

#[tokio::test]
async fn room_is_bounded_and_comes_back_with_each_end() {
    let registry = registry(|settings| settings.max_sessions = 2);
    let first = register(&registry, 1).unwrap();
    register(&registry, 2).unwrap();
    assert_eq!(register(&registry, 3), Err(RegisterError::Full));
    registry
        .cancel(first, &CancelRight::Host(SecretHash::of(HOST_TOKEN)))
        .unwrap();
    register(&registry, 3).unwrap();
    assert_eq!(register(&registry, 4), Err(RegisterError::Full));
}

#[tokio::test]
async fn the_dear_check_is_made_only_with_the_right_token() {
    let registry = registry(|_| {});
    let id = register(&registry, 1).unwrap();
    let (outbox, _outbox_rx) = outbox::channel(8, &ByteBudget::default());
    let never = |_: &DeviceKey| panic!("checked a signature for a wrong token");
    let refused = registry.claim(
        id,
        &SecretHash::of(b"wrong"),
        claim_with(device(1), ClaimPermit::SingleNode),
        never,
        outbox,
    );
    assert_eq!(refused.err(), Some(SignalErrorCode::Unauthorized));
}

#[tokio::test]
async fn a_claim_that_was_won_at_another_epoch_wins_nothing() {
    let registry = registry(|_| {});
    let id = register(&registry, 1).unwrap();
    let token = SecretHash::of(TOKEN);
    let mut moved = registry.registration(id).unwrap();
    moved.epoch = 2;
    // From a record that was read before another device's claim: it says that nobody has claimed.
    registry.adopt(moved, Instant::now(), 0);
    let try_with = |permit| {
        let (outbox, outbox_rx) = outbox::channel(8, &ByteBudget::default());
        let claimed = registry.claim(id, &token, claim_with(device(1), permit), |_| true, outbox);
        claimed.map(|attachment| (attachment, outbox_rx))
    };

    for stale in [ClaimPermit::None, ClaimPermit::WonAt(1)] {
        assert_eq!(try_with(stale).err(), Some(SignalErrorCode::Internal));
    }
    assert_eq!(registry.counts().claimed, 0);
    assert!(try_with(ClaimPermit::WonAt(2)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_side_left_for_the_other_is_gone_some_minutes_after_it() {
    let settings = RegistrySettings {
        max_mailbox_bytes: 100,
        ..RegistrySettings::default()
    };
    let registry = Registry::start(settings, Arc::new(NoRelay), Arc::new(NoopObserver));
    let id = register_for(&registry, 1, MAILBOX_RETENTION * 4).unwrap();
    let leave_blob = |registry: &Registry| {
        let (outbox, outbox_rx) = outbox::channel(8, &ByteBudget::default());
        let host = registry.attach_host(id, &SecretHash::of(HOST_TOKEN), outbox);
        host.unwrap().forward([1; 100].into());
        outbox_rx
    };
    let (viewer, _viewer_rx) = claim(&registry, id, device(1)).unwrap();
    drop(viewer);

    leave_blob(&registry);
    sleep(MAILBOX_RETENTION - Duration::from_secs(1)).await;
    assert_eq!(sealed_blobs(&registry, id), 1);
    leave_blob(&registry);
    sleep(MAILBOX_RETENTION + Duration::from_secs(1)).await;
    assert_eq!(sealed_blobs(&registry, id), 0);
    // The room is free again.
    leave_blob(&registry);
    assert_eq!(sealed_blobs(&registry, id), 1);
}

/// How many blobs wait for the viewer, who takes them.
fn sealed_blobs(registry: &Registry, id: SessionId) -> usize {
    let (_viewer, mut outbox_rx) = claim(registry, id, device(1)).unwrap();
    let waiting = std::iter::from_fn(|| outbox_rx.next().now_or_never());
    waiting
        .filter(|frame| match frame {
            OutgoingFrame::Text(text) => text.contains("\"sealed\""),
            OutgoingFrame::Close(_) => false,
        })
        .count()
}
