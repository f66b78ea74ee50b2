//! What an endpoint sees of the relay: checks, paths, restarts, consent.

use std::time::Duration;

use authloop_relay::{
    DropReason, Leg, LocalAddrId, PathAddr, RelayError, RelayEvent, StunOutcome,
    stun::{BindingMessage, StunClass},
};
use authloop_relay_testkit::{RELAY, World, credentials, session_id};

const DTLS: &[u8] = &[22, 254, 253, 1, 2, 3];
const SRTP: &[u8] = &[128, 96, 0, 1, 2, 3];
const ELSEWHERE: PathAddr = PathAddr::from_v4([203, 0, 113, 5], 4_000);

#[test]
fn a_packet_crosses_a_connected_session_as_it_came() {
    let mut world = World::new();
    let agents = world.connect(1);

    for packet in [DTLS, SRTP] {
        let there = world.feed(agents.host.addr, packet);
        let back = world.feed(agents.viewer.addr, packet);
        assert_eq!(there, [(agents.viewer.addr, packet.to_vec())]);
        assert_eq!(back, [(agents.host.addr, packet.to_vec())]);
    }
}

#[test]
fn a_check_is_answered_with_integrity_and_the_sender_s_address() {
    let mut world = World::new();
    let mut agents = world.open(1);
    let check = agents.host.check(true);

    let sent = world.feed(agents.host.addr, &check);

    let (to, answer) = &sent[0];
    let message = BindingMessage::parse(answer).unwrap();
    let pwd = agents.host.relay.pwd.as_str();
    assert_eq!(*to, agents.host.addr);
    assert_eq!(message.class(), StunClass::Success);
    assert!(message.integrity_holds(pwd.as_bytes()) && message.fingerprint_holds());
    assert!(answer.len() <= check.len() + 12, "{} bytes", answer.len());
}

#[test]
fn each_address_of_the_relay_answers_for_itself() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let one = agents.viewer.addr;
    let other = one.with_local(LocalAddrId(2));

    let check = agents.viewer.check(true);
    let sent = world.feed(other, &check);
    let before = world.feed(agents.host.addr, SRTP);
    let answer = agents.viewer.answer(&sent[1].1, RELAY).unwrap();
    world.feed(other, &answer);
    let after = world.feed(agents.host.addr, SRTP);

    // The answer and the relay's own check go out where the check came in.
    assert_eq!([sent[0].0, sent[1].0], [other, other]);
    assert_eq!(before, [(one, SRTP.to_vec())]);
    assert_eq!(after, [(other, SRTP.to_vec())]);
}

#[test]
fn a_client_hello_waits_for_the_other_leg() {
    let mut world = World::new();
    let mut agents = world.open(1);
    world.check(&mut agents.viewer);

    let early = world.feed(agents.viewer.addr, DTLS);
    let media = world.feed(agents.viewer.addr, SRTP);
    let sent = world.check(&mut agents.host);

    assert!(early.is_empty() && media.is_empty());
    assert!(sent.contains(&(agents.host.addr, DTLS.to_vec())));
    assert!(!sent.contains(&(agents.host.addr, SRTP.to_vec())));
    assert_eq!(world.dropped(DropReason::PeerNotReady), 1);
}

#[test]
fn a_large_client_hello_waits_for_the_return_path() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let mut hello = DTLS.to_vec();
    hello.resize(1200, 0);
    agents.viewer.addr = ELSEWHERE;
    let mut fresh = world.open(2);
    world.check(&mut fresh.viewer);
    let check = fresh.host.check(true);

    let unproven = world.feed(fresh.host.addr, &check);
    let early = world.feed(fresh.viewer.addr, &hello);
    let answer = fresh.host.answer(&unproven[1].1, RELAY).unwrap();
    let late = world.feed(fresh.host.addr, &answer);

    assert!(early.is_empty());
    assert_eq!(late, [(fresh.host.addr, hello)]);
}

#[test]
fn a_spoofing_peer_draws_no_more_than_three_times_its_bytes() {
    let mut world = World::new();
    let mut agents = world.open(1);
    world.check(&mut agents.host);
    let check = agents.viewer.check(true);
    let mut drawn: usize = sizes(&world.feed(ELSEWHERE, &check), ELSEWHERE);

    for _ in 0..10_000 {
        world.pass(Duration::from_millis(1));
        drawn += sizes(&world.feed(agents.host.addr, &[128; 1200]), ELSEWHERE);
        drawn += sizes(&world.feed(agents.host.addr, &[128; 20]), ELSEWHERE);
    }

    assert!(
        drawn <= 3 * check.len(),
        "{drawn} bytes for {}",
        check.len()
    );
    assert!(world.dropped(DropReason::Amplification) > 0);
}

#[test]
fn a_nomination_moves_the_leg_once_the_new_path_is_proven() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    agents.viewer.addr = ELSEWHERE;
    let check = agents.viewer.check(true);

    let sent = world.feed(ELSEWHERE, &check);
    let before = world.feed(agents.host.addr, SRTP);
    let answer = agents.viewer.answer(&sent[1].1, RELAY).unwrap();
    world.feed(ELSEWHERE, &answer);
    let after = world.feed(agents.host.addr, SRTP);

    assert_ne!(before[0].0, ELSEWHERE);
    assert_eq!(after[0].0, ELSEWHERE);
    assert_eq!(world.relay.counters().migrations, 1);
}

#[test]
fn a_proven_path_is_better_than_a_nominated_one_that_never_proves_itself() {
    let mut world = World::new();
    let mut agents = world.open(1);
    world.check(&mut agents.host);
    let nominating = agents.viewer.check(true);
    world.feed(ELSEWHERE, &nominating);

    let check = agents.viewer.check(false);
    let sent = world.feed(agents.viewer.addr, &check);
    let answer = agents.viewer.answer(&sent[1].1, RELAY).unwrap();
    world.feed(agents.viewer.addr, &answer);

    let media = world.feed(agents.host.addr, SRTP);
    assert_eq!(media, [(agents.viewer.addr, SRTP.to_vec())]);
}

#[test]
fn a_path_without_nomination_waits_until_the_old_one_is_quiet() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let old = agents.viewer.addr;
    agents.viewer.addr = ELSEWHERE;

    let mut used = Vec::new();
    for _ in 0..4 {
        let check = agents.viewer.check(false);
        for (_, datagram) in world.feed(ELSEWHERE, &check) {
            if let Some(answer) = agents.viewer.answer(&datagram, RELAY) {
                world.feed(ELSEWHERE, &answer);
            }
        }
        used.push(world.feed(agents.host.addr, SRTP)[0].0);
        world.pass(Duration::from_secs(1));
    }

    assert_eq!(used, [old, old, old, ELSEWHERE]);
}

#[test]
fn a_nomination_sent_once_holds_for_as_long_as_checks_go_on() {
    let mut world = World::new();
    let mut agents = world.connect(1);

    for _ in 0..100 {
        world.pass(Duration::from_secs(2));
        for agent in [&mut agents.host, &mut agents.viewer] {
            let check = agent.check(false);
            world.feed(agent.addr, &check);
        }
    }

    let sent = world.feed(agents.host.addr, SRTP);
    assert_eq!(sent, [(agents.viewer.addr, SRTP.to_vec())]);
}

#[test]
fn consent_ends_after_thirty_seconds_and_is_reported() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    world.events();

    world.pass(Duration::from_secs(20));
    world.check(&mut agents.host);
    world.pass(Duration::from_secs(10));
    let sent = world.feed(agents.host.addr, SRTP);
    world.pass(Duration::from_secs(2));

    let (session, leg) = (session_id(1), Leg::Viewer);
    assert!(sent.is_empty());
    assert_eq!(world.events(), [RelayEvent::LegLost { session, leg }]);
    assert_eq!(world.relay.connected_legs(), 1);
}

#[test]
fn an_ice_restart_keeps_media_flowing_and_ends_the_old_credentials() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let mut old = agents.viewer.check(true);
    let restarted = credentials(1, Leg::Viewer, 1);
    world
        .relay
        .restart_leg(session_id(1), Leg::Viewer, restarted.clone())
        .unwrap();

    let during = world.feed(agents.host.addr, SRTP);
    let still_valid = world.feed(agents.viewer.addr, &old);
    agents.viewer.relay = restarted;
    agents.viewer.addr = ELSEWHERE;
    world.check(&mut agents.viewer);
    let after = world.feed(agents.host.addr, SRTP);
    old[10] ^= 1;
    let ended = world.feed(ELSEWHERE, &old);

    assert_eq!(during.len(), 1);
    assert_eq!(still_valid.len(), 1);
    assert_eq!(after, [(ELSEWHERE, SRTP.to_vec())]);
    assert!(ended.is_empty());
    assert_eq!(world.stun(StunOutcome::UnknownUfrag), 1);
}

#[test]
fn a_ninth_path_replaces_the_oldest_unproven_one() {
    let mut world = World::new();
    let mut agents = world.connect(1);

    for port in 1..=12 {
        let check = agents.viewer.check(false);
        world.feed(PathAddr::from_v4([203, 0, 113, 9], port), &check);
    }
    for port in [5, 6] {
        world.feed(PathAddr::from_v4([203, 0, 113, 9], port), SRTP);
    }

    let dropped = [DropReason::UnknownSource, DropReason::UnprovenSource];
    assert_eq!(dropped.map(|reason| world.dropped(reason)), [1, 1]);
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    world.relay.close_session(session_id(1)).unwrap();

    let check = agents.host.check(true);
    let sent = [
        world.feed(agents.host.addr, &check),
        world.feed(agents.host.addr, SRTP),
    ];

    assert!(sent.iter().all(Vec::is_empty));
    assert_eq!(world.relay.sessions() + world.relay.connected_legs(), 0);
    assert_eq!(world.relay.poll_timeout(), None);
    assert_eq!(
        world.relay.close_session(session_id(1)),
        Err(RelayError::UnknownSession)
    );
    world.connect(1);
}

fn sizes(sent: &[(PathAddr, Vec<u8>)], to: PathAddr) -> usize {
    let there = sent.iter().filter(|(dst, _)| *dst == to);
    there.map(|(_, datagram)| datagram.len()).sum()
}
