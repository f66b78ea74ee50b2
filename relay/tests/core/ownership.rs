//! Whose an address is: of several legs that name it, and after its user has left.

use std::time::Duration;

use authloop_relay::{
    DropReason, Leg, PathAddr, RelayEvent, StunOutcome,
    stun::{self, BindingMessage},
};
use authloop_relay_testkit::{RELAY, World, session_id};

const DTLS: &[u8] = &[22, 254, 253, 1, 2, 3];
const SRTP: &[u8] = &[128, 96, 0, 1, 2, 3];

#[test]
fn an_address_that_was_taken_back_is_a_strangers_again() {
    let mut world = World::new();
    let agents = world.connect(1);
    world.events();

    world.relay.forget_address(agents.viewer.addr);
    let from_it = world.feed(agents.viewer.addr, SRTP);
    let to_it = world.feed(agents.host.addr, SRTP);

    let (session, leg) = (session_id(1), Leg::Viewer);
    assert!(from_it.is_empty() && to_it.is_empty());
    assert_eq!(world.dropped(DropReason::UnknownSource), 1);
    assert_eq!(world.events(), [RelayEvent::LegLost { session, leg }]);
    assert_eq!(world.relay.connected_legs(), 1);
}

#[test]
fn an_address_that_was_taken_back_is_free_for_another_leg() {
    let mut world = World::new();
    let first = world.connect(1);
    let mut second = world.connect(2);
    second.viewer.addr = first.viewer.addr;

    world.relay.forget_address(first.viewer.addr);
    world.check(&mut second.viewer);
    let sent = world.feed(second.viewer.addr, SRTP);
    world
        .relay
        .forget_address(PathAddr::from_v4([192, 0, 2, 9], 9));

    assert_eq!(sent, [(second.host.addr, SRTP.to_vec())]);
}

#[test]
fn an_address_that_is_handed_out_goes_by_its_name_outside() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let name = PathAddr::from_octets([0x20; 16], 50_000);
    let addr = agents.viewer.addr;
    let mut answer_names = |world: &mut World, mapped: PathAddr| {
        let check = agents.viewer.check(true);
        let id = BindingMessage::parse(&check).unwrap().transaction_id();
        let mut expected = Vec::new();
        let pwd = agents.viewer.relay.pwd.as_str().as_bytes();
        stun::write_binding_success(&mut expected, id, mapped, pwd, true);
        world.feed(addr, &check)[0] == (addr, expected)
    };

    world.relay.name_address(addr, name);
    assert!(answer_names(&mut world, name));
    world.relay.forget_address(addr);
    assert!(answer_names(&mut world, addr));
}

#[test]
fn nothing_is_passed_on_from_an_address_before_it_is_proven() {
    let mut world = World::new();
    let mut agents = world.open(1);
    world.check(&mut agents.host);
    let check = agents.viewer.check(true);

    let sent = world.feed(agents.viewer.addr, &check);
    let early = [DTLS, SRTP].map(|packet| world.feed(agents.viewer.addr, packet));
    let answer = agents.viewer.answer(&sent[1].1, RELAY).unwrap();
    let proven = world.feed(agents.viewer.addr, &answer);
    let media = world.feed(agents.viewer.addr, SRTP);

    assert!(early.iter().all(Vec::is_empty));
    assert_eq!(world.dropped(DropReason::UnprovenSource), 1);
    // A handshake's packet was kept.
    assert_eq!(proven, [(agents.host.addr, DTLS.to_vec())]);
    assert_eq!(media, [(agents.host.addr, SRTP.to_vec())]);
}

#[test]
fn a_forged_source_neither_keeps_its_owner_out_nor_gets_what_it_sends() {
    let mut world = World::new();
    let mut victim = world.open(1);
    let mut attacker = world.open(2);
    world.check(&mut victim.host);
    world.check(&mut attacker.host);
    let (own, forged) = (attacker.viewer.addr, victim.viewer.addr);
    let mut squat = |world: &mut World| {
        let check = attacker.viewer.check(true);
        world.feed(forged, &check)
    };

    // Ahead of the victim, and between any two of its packets.
    squat(&mut world);
    let check = victim.viewer.check(true);
    let mut sent = world.feed(victim.viewer.addr, &check);
    let answer = victim.viewer.answer(&sent[1].1, RELAY).unwrap();
    squat(&mut world);
    sent.extend(world.feed(victim.viewer.addr, DTLS));
    squat(&mut world);
    sent.extend(world.feed(victim.viewer.addr, &answer));
    squat(&mut world);
    let media = world.feed(victim.viewer.addr, SRTP);
    attacker.viewer.addr = own;
    sent.extend(world.check(&mut attacker.viewer));

    assert_eq!(media, [(victim.host.addr, SRTP.to_vec())]);
    assert_eq!(world.stun(StunOutcome::AddressTaken), 1);
    assert!(sent.iter().all(|(to, _)| *to != attacker.host.addr));
}

#[test]
fn a_proven_address_that_fell_quiet_goes_to_the_leg_that_proves_it() {
    let mut world = World::new();
    let mut old = world.connect(1);
    let mut new = world.connect(2);
    world.pass(Duration::from_secs(12));
    for host in [&mut old.host, &mut new.host] {
        world.check(host);
    }
    new.viewer.addr = old.viewer.addr;

    let check = new.viewer.check(true);
    let sent = world.feed(new.viewer.addr, &check);
    let before = world.feed(new.viewer.addr, SRTP);
    let answer = new.viewer.answer(&sent[1].1, RELAY).unwrap();
    world.feed(new.viewer.addr, &answer);
    let after = world.feed(new.viewer.addr, SRTP);

    assert_eq!(before, [(old.host.addr, SRTP.to_vec())]);
    assert_eq!(after, [(new.host.addr, SRTP.to_vec())]);
}

#[test]
fn an_address_far_away_is_proven_although_its_answers_take_long() {
    let mut world = World::new();
    let mut agents = world.open(1);
    world.check(&mut agents.host);
    let check = agents.viewer.check(true);

    let sent = world.feed(agents.viewer.addr, &check);
    for _ in 0..6 {
        world.pass(Duration::from_millis(100));
        world.feed(agents.viewer.addr, SRTP);
    }
    let answer = agents.viewer.answer(&sent[1].1, RELAY).unwrap();
    world.feed(agents.viewer.addr, &answer);

    assert_eq!(world.feed(agents.viewer.addr, SRTP).len(), 1);
}
