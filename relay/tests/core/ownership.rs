//! Whose an address is: of several legs that name it, and after its user has left.

use authloop_relay::{DropReason, Leg, PathAddr, RelayEvent};
use authloop_relay_testkit::{World, session_id};

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
