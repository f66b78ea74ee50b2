//! An overheard check, sent again too late for the relay to remember it.

use authloop_relay::PathAddr;
use authloop_relay_testkit::World;

const STRANGER: PathAddr = PathAddr::from_v4([203, 0, 113, 66], 6_666);
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
