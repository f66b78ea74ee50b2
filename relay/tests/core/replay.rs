//! An overheard check, sent again: too late for the relay to remember it, or sooner than its sender's.

use std::time::Duration;

use authloop_relay::{Leg, PathAddr, StunOutcome};
use authloop_relay_testkit::{IceAgent, RELAY, World, credentials, session_id};

const STRANGER: PathAddr = PathAddr::from_v4([203, 0, 113, 66], 6_666);
const ELSEWHERE: PathAddr = PathAddr::from_v4([203, 0, 113, 5], 4_000);
const SRTP: &[u8] = &[128, 96, 0, 1];

#[test]
fn an_old_check_from_elsewhere_moves_no_media() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let overheard = agents.viewer.check(true);
    world.feed(agents.viewer.addr, &overheard);
    for _ in 0..20 {
        world.check(&mut agents.viewer);
    }

    let answers = world.feed(STRANGER, &overheard);
    let media = world.feed(agents.host.addr, SRTP);

    assert_eq!(media, [(agents.viewer.addr, SRTP.to_vec())]);
    assert_eq!(world.relay.counters().migrations, 0);
    let drawn: usize = answers.iter().map(|(_, datagram)| datagram.len()).sum();
    assert!(drawn <= 3 * overheard.len(), "{drawn} bytes");
}

/// Which of a check and its copy arrives first.
#[derive(Clone, Copy, Debug)]
enum Copy {
    First,
    Last,
}

/// Sends a check that a bystander copies; only the true sender can answer the relay's own.
fn overheard_check(world: &mut World, agent: &mut IceAgent, copy: Copy) {
    let check = agent.check(true);
    if matches!(copy, Copy::First) {
        world.feed(STRANGER, &check);
    }
    let sent = world.feed(agent.addr, &check);
    if matches!(copy, Copy::Last) {
        world.feed(STRANGER, &check);
    }
    for (to, datagram) in sent {
        let answer = agent.answer(&datagram, RELAY).filter(|_| to == agent.addr);
        if let Some(answer) = answer {
            world.feed(agent.addr, &answer);
        }
    }
}

fn assert_media_both_ways(world: &mut World, [host, viewer]: [PathAddr; 2], case: Copy) {
    assert_eq!(
        world.feed(host, SRTP),
        [(viewer, SRTP.to_vec())],
        "{case:?}"
    );
    assert_eq!(
        world.feed(viewer, SRTP),
        [(host, SRTP.to_vec())],
        "{case:?}"
    );
}

#[test]
fn a_bystander_with_copies_of_all_checks_keeps_nobody_out() {
    for copy in [Copy::First, Copy::Last] {
        let mut world = World::new();
        let mut agents = world.open(1);

        for _ in 0..30 {
            world.check(&mut agents.host);
            overheard_check(&mut world, &mut agents.viewer, copy);
            let addrs = [agents.host.addr, agents.viewer.addr];
            assert_media_both_ways(&mut world, addrs, copy);
            world.pass(Duration::from_secs(2));
            assert_media_both_ways(&mut world, addrs, copy);
        }
    }
}

#[test]
fn a_bystander_keeps_nobody_from_going_to_another_network() {
    for copy in [Copy::First, Copy::Last] {
        let mut world = World::new();
        let mut agents = world.connect(1);
        agents.viewer.addr = ELSEWHERE;

        for _ in 0..3 {
            world.pass(Duration::from_secs(2));
            world.check(&mut agents.host);
            overheard_check(&mut world, &mut agents.viewer, copy);
        }

        assert_media_both_ways(&mut world, [agents.host.addr, ELSEWHERE], copy);
    }
}

#[test]
fn a_bystander_does_not_profit_from_a_restart() {
    for copy in [Copy::First, Copy::Last] {
        let mut world = World::new();
        let mut agents = world.connect(1);
        let restarted = credentials(1, Leg::Viewer, 1);
        let (session, leg) = (session_id(1), Leg::Viewer);
        world
            .relay
            .restart_leg(session, leg, restarted.clone())
            .unwrap();
        agents.viewer.relay = restarted;

        overheard_check(&mut world, &mut agents.viewer, copy);

        let addrs = [agents.host.addr, agents.viewer.addr];
        assert_media_both_ways(&mut world, addrs, copy);
    }
}

#[test]
fn a_copy_is_refused_while_the_true_path_is_alive() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let overheard = agents.viewer.check(true);
    world.feed(agents.viewer.addr, &overheard);

    let sent = world.feed(STRANGER, &overheard);

    assert!(sent.is_empty());
    assert_eq!(world.stun(StunOutcome::Replayed), 1);
}

#[test]
fn a_copy_nominates_nothing() {
    let mut world = World::new();
    let mut agents = world.connect(1);
    let nominated = agents.viewer.addr;
    let overheard = agents.viewer.check(true);
    world.feed(nominated, &overheard);
    world.pass(Duration::from_secs(4));

    world.feed(STRANGER, &overheard);
    // For a while the endpoint is elsewhere, and then back where it had nominated.
    for addr in [ELSEWHERE, nominated] {
        agents.viewer.addr = addr;
        let check = agents.viewer.check(false);
        for (_, datagram) in world.feed(addr, &check) {
            if let Some(answer) = agents.viewer.answer(&datagram, RELAY) {
                world.feed(addr, &answer);
            }
        }
        let media = world.feed(agents.host.addr, SRTP);
        assert_eq!(media, [(addr, SRTP.to_vec())]);
    }
}
