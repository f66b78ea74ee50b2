//! Any order of events against what must always hold.

use p256::ecdsa::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::{outbox, relay::SessionLegs};

const TOKEN: &[u8] = b"claim token";
const HOST_TOKEN: &[u8] = b"host token";
const COMMITMENT: TakeoverCommitment = TakeoverCommitment([9; 32]);

#[derive(Clone, Copy, Debug)]
enum Step {
    Claim { device: u8, right_token: bool },
    Resume { device: u8 },
    AttachHost { right_token: bool },
    DetachHost,
    DetachViewer,
    Forward(Side),
    OpenLegs,
    FailLegs,
    Restart(Side),
    Wait(u16),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::Host), Just(Side::Viewer)];
    prop_oneof![
        6 => (0..3u8, any::<bool>())
            .prop_map(|(device, right_token)| Step::Claim { device, right_token }),
        4 => (0..3u8).prop_map(|device| Step::Resume { device }),
        4 => any::<bool>().prop_map(|right_token| Step::AttachHost { right_token }),
        2 => Just(Step::DetachHost),
        2 => Just(Step::DetachViewer),
        6 => side().prop_map(Step::Forward),
        3 => Just(Step::OpenLegs),
        1 => Just(Step::FailLegs),
        2 => side().prop_map(Step::Restart),
        2 => any::<u16>().prop_map(Step::Wait),
        1 => Just(Step::End),
    ]
}

fn device(number: u8) -> DeviceKey {
    let key = SigningKey::from_slice(&[number + 1; 32]).unwrap();
    DeviceKey::parse(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn session(now: Instant) -> Session {
    let registration = Registration {
        wall_type: None,
        id: SessionId([1; 16]),
        invitation: Arc::from(b"invitation".as_slice()),
        claim_hash: SecretHash::of(TOKEN),
        host_token: SecretHash::of(HOST_TOKEN),
        device: None,
        expires_at: 1,
        deadline: now + Duration::from_secs(3600),
        epoch: 0,
        created_unix_ms: 0,
    };
    Session::new(registration, 0, &ByteBudget::default(), now)
}

fn legs() -> SessionLegs {
    let leg = || crate::relay::LegParameters {
        ufrag: "ufrag".to_owned(),
        pwd: "p".repeat(22),
        candidates: vec![([127, 0, 0, 1], 3478).into()],
        tcp: Vec::new(),
        turn: Vec::new(),
    };
    SessionLegs {
        host: leg(),
        viewer: leg(),
    }
}

fn token(right: bool, secret: &[u8]) -> SecretHash {
    SecretHash::of(if right { secret } else { b"wrong" })
}

proptest! {
    #[test]
    fn one_device_wins_for_good_and_the_end_is_final(
        steps in proptest::collection::vec(step(), 0..60)
    ) {
        let mut now = Instant::now();
        let mut session = session(now);
        let mut winner: Option<u8> = None;
        let mut ended = false;
        let mut ends = Vec::new();
        let mut outbox_ids = [0, 0];
        for step in steps {
            let (outbox, outbox_rx) = outbox::channel(64, &ByteBudget::default());
            let outbox_id = outbox.id();
            ends.push(outbox_rx);
            match step {
                Step::Claim { device: number, right_token } => {
                    let token = token(right_token, TOKEN);
                    let claim = session.claim(&token, device(number), ClaimRequest::Claim, outbox, now);
                    let expected = match (right_token, ended, winner) {
                        (false, _, _) => Err(SignalErrorCode::Unauthorized),
                        (true, true, _) => Err(SignalErrorCode::Ended),
                        (true, false, Some(winner)) if winner != number => {
                            Err(SignalErrorCode::AlreadyClaimed)
                        }
                        (true, false, _) => Ok(()),
                    };
                    prop_assert_eq!(claim.map(|_| ()), expected);
                    if claim.is_ok() {
                        let first = winner.replace(number).is_none();
                        prop_assert_eq!(matches!(claim, Ok(ClaimOutcome::Won(_))), first);
                        outbox_ids[1] = outbox_id;
                    }
                }
                Step::Resume { device: number } => {
                    let resumed = session.resume(&device(number), outbox);
                    prop_assert_eq!(resumed.is_ok(), !ended && winner == Some(number));
                    if resumed.is_ok() {
                        outbox_ids[1] = outbox_id;
                    }
                }
                Step::AttachHost { right_token } => {
                    let attached = session.attach_host(&token(right_token, HOST_TOKEN), outbox);
                    prop_assert_eq!(attached.is_ok(), right_token && !ended);
                    if attached.is_ok() {
                        outbox_ids[0] = outbox_id;
                    }
                }
                Step::DetachHost => {
                    let _due = session.detach(Side::Host, outbox_ids[0], now);
                }
                Step::DetachViewer => {
                    let _due = session.detach(Side::Viewer, outbox_ids[1], now);
                }
                Step::Forward(side) => {
                    let forwarded = session.forward(side, Blob::from([0]));
                    prop_assert_eq!(forwarded.is_some(), !ended);
                }
                Step::OpenLegs => {
                    if session.begin_opening() {
                        prop_assert!(winner.is_some() && !ended);
                        prop_assert!(!session.begin_opening(), "opened twice");
                        prop_assert!(session.legs_opened(legs()));
                    }
                }
                Step::FailLegs => {
                    if session.begin_opening() {
                        session.legs_failed();
                    }
                }
                Step::Restart(side) => {
                    if session.begin_restart(side) {
                        prop_assert!(!ended);
                        prop_assert!(!session.begin_restart(side), "restarted twice at once");
                        session.restarted(side, Some(legs().host));
                    }
                }
                Step::Wait(millis) => now += Duration::from_millis(millis.into()),
                Step::End => {
                    let end = session.end(Outcome::Resolved, now + Duration::from_secs(60));
                    prop_assert_eq!(end.is_none(), ended);
                    ended = true;
                }
            }
            let state = match (ended, winner) {
                (true, _) => SessionState::Ended,
                (false, Some(_)) => SessionState::Claimed,
                (false, None) => SessionState::Created,
            };
            prop_assert_eq!(session.state(), state);
            prop_assert_eq!(session.device().cloned(), winner.filter(|_| !ended).map(device));
        }
    }
}

#[test]
fn legs_that_open_after_the_end_are_not_wanted() {
    let now = Instant::now();
    let mut session = session(now);
    let (outbox, _outbox_rx) = outbox::channel(8, &ByteBudget::default());
    session
        .claim(
            &SecretHash::of(TOKEN),
            device(0),
            ClaimRequest::Claim,
            outbox,
            now,
        )
        .unwrap();
    assert!(session.begin_opening());
    assert_eq!(session.end(Outcome::Cancelled, now), Some(false));
    assert!(!session.legs_opened(legs()));
}

#[test]
fn a_host_leaves_nothing_for_a_viewer_before_there_is_one() {
    let now = Instant::now();
    let mut session = session(now);
    let blob = || Blob::from([0; 100]);
    assert_eq!(session.forward(Side::Host, blob()), Some(Delivery::Dropped));
    let (outbox, _outbox_rx) = outbox::channel(8, &ByteBudget::default());
    let outbox_id = outbox.id();
    let token = token(true, TOKEN);
    let claimed = session.claim(&token, device(0), ClaimRequest::Claim, outbox, now);
    assert!(claimed.is_ok());
    session.detach(Side::Viewer, outbox_id, now);

    assert_eq!(
        session.forward(Side::Host, blob()),
        Some(Delivery::Accepted)
    );
}

/// Asks for the session as a device; `Err` if it may not. Gives the socket's queue and the id of its outbox.
fn ask(
    session: &mut Session,
    device: DeviceKey,
    now: Instant,
) -> Result<(outbox::OutboxReceiver, u64), SignalErrorCode> {
    let (outbox, outbox_rx) = outbox::channel(8, &ByteBudget::default());
    let outbox_id = outbox.id();
    let (token, request) = (SecretHash::of(TOKEN), ClaimRequest::TakeOver(COMMITMENT));
    let asked = session.claim(&token, device, request, outbox, now)?;
    assert_eq!(asked, ClaimOutcome::TakeoverRequested);
    Ok((outbox_rx, outbox_id))
}

/// A session that the first device has; its queue must be kept.
fn claimed_session(now: Instant) -> (Session, outbox::OutboxReceiver) {
    let mut session = session(now);
    let (outbox, outbox_rx) = outbox::channel(64, &ByteBudget::default());
    let token = SecretHash::of(TOKEN);
    session
        .claim(&token, device(0), ClaimRequest::Claim, outbox, now)
        .unwrap();
    (session, outbox_rx)
}

#[test]
fn each_question_without_consent_doubles_the_peace_until_nobody_may_ask() {
    type End = fn(&mut Session, u64, Instant) -> Duration;
    let withdrawn: End = |session, outbox_id, now| {
        session.detach(Side::Viewer, outbox_id, now);
        Duration::ZERO
    };
    let refused: End = |session, _, now| {
        assert!(session.refuse_takeover(COMMITMENT, now));
        Duration::ZERO
    };
    let unanswered: End = |_, _, _| Duration::from_secs(60);
    for end in [withdrawn, refused, unanswered] {
        let mut now = Instant::now();
        let (mut session, _holder) = claimed_session(now);
        for peace in [15, 30, 60, 120, 240] {
            let (_waiting, outbox_id) = ask(&mut session, device(1), now).unwrap();
            now += end(&mut session, outbox_id, now);
            now += Duration::from_secs(peace) - Duration::from_millis(1);
            assert!(
                ask(&mut session, device(1), now).is_err(),
                "{peace} s of peace"
            );
            now += Duration::from_millis(1);
        }
        now += Duration::from_secs(86_400);
        assert!(ask(&mut session, device(1), now).is_err());
    }
}

#[test]
fn a_takeover_with_consent_costs_nothing() {
    let now = Instant::now();
    let (mut session, _holder) = claimed_session(now);
    let (_waiting, _) = ask(&mut session, device(1), now).unwrap();
    session.take_over(device(1)).unwrap();
    assert!(ask(&mut session, device(0), now).is_ok());
}
