//! What strangers send beside a thousand live handshakes: no byte back, none passed on.

#![cfg(test)]

use std::time::Duration;

use authloop_relay::{
    DropReason, Legs, PathAddr, StunOutcome,
    stun::{BindingRequest, TransactionId},
};
use authloop_relay_testkit::{CountingAllocator, IceAgent, World, counting_allocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LIVE: u16 = 1_000;
const FLOOD: u32 = 100_000;

/// A thousand sessions in the middle of their handshakes.
fn live() -> (World, Vec<Legs<IceAgent>>) {
    let mut world = World::new();
    let agents = (0..LIVE).map(|n| world.connect(n)).collect();
    world.events();
    (world, agents)
}

fn stranger(n: u32) -> PathAddr {
    PathAddr::from_v4(
        (0xc612_0000 | n & 0xffff).to_be_bytes(),
        1_024 + (n >> 16) as u16,
    )
}

/// Feeds a flood, with live handshakes going on, and checks that only those get through.
fn assert_silence(
    world: &mut World,
    agents: &[Legs<IceAgent>],
    mut forged: impl FnMut(u32) -> (PathAddr, Vec<u8>),
) {
    let (migrations, legs) = (
        world.relay.counters().migrations,
        world.relay.connected_legs(),
    );
    let hello = [22, 254, 253, 0, 0, 1];
    // Whatever grows once may; what a flood can grow, it grows each time.
    let mut flood = |world: &mut World, from: u32| {
        for n in from..from + FLOOD / 2 {
            let (src, datagram) = forged(n);
            let sent = world.feed(src, &datagram);
            assert!(sent.is_empty(), "datagram {n} made the relay send {sent:?}");
            if n % 100 == 0 {
                let live = &agents[n as usize / 100 % agents.len()];
                let sent = world.feed(live.viewer.addr, &hello);
                assert_eq!(sent, [(live.host.addr, hello.to_vec())]);
            }
        }
    };
    flood(world, 0);
    let before = counting_allocator::live_bytes();
    flood(world, FLOOD / 2);
    let grown = counting_allocator::live_bytes() - before;

    assert!(grown <= 0, "{grown} bytes kept");
    assert_eq!(world.relay.counters().migrations, migrations);
    assert_eq!(world.relay.connected_legs(), legs);
    assert!(world.events().is_empty());
}

/// A check that is well made, but with whatever credentials are given.
fn forged_check(ufrag: &[u8], pwd: &[u8], n: u32) -> Vec<u8> {
    let mut id = [9; 12];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let mut out = Vec::new();
    BindingRequest {
        transaction_id: TransactionId(id),
        to_ufrag: ufrag,
        from_ufrag: b"evil",
        pwd,
        priority: 1,
        controlling: Some(1),
        use_candidate: true,
    }
    .write(&mut out);
    out
}

/// One test, because the allocator counts for the whole process.
#[test]
fn strangers_get_nothing_and_leave_nothing() {
    let (mut world, mut agents) = live();
    let ufrag = agents[5].host.relay.ufrag;
    let ufrag = ufrag.as_str().as_bytes();

    println!("checks for an unknown ufrag");
    assert_silence(&mut world, &agents, |n| {
        (
            stranger(n),
            forged_check(b"0123456789abcdef", b"0123456789012345678901", n),
        )
    });
    println!("checks with forged integrity, from strangers and from live addresses");
    let spoofed: Vec<PathAddr> = agents.iter().map(|legs| legs.viewer.addr).collect();
    assert_silence(&mut world, &agents, |n| {
        let src = match n % 2 {
            0 => stranger(n),
            _ => spoofed[n as usize % spoofed.len()],
        };
        (src, forged_check(ufrag, b"0123456789012345678901", n))
    });
    println!("noise");
    let mut state = 88_172_645_463_325_252_u64;
    assert_silence(&mut world, &agents, |n| {
        let noise = (0..n as usize % 100).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        (stranger(n), noise.collect())
    });
    println!("media, and forged ClientHellos");
    assert_silence(&mut world, &agents, |n| {
        let mut packet = vec![0; 1200];
        packet[0] = if n % 2 == 0 { 128 } else { 22 };
        (stranger(n), packet)
    });
    println!("replayed checks, as they were overheard");
    let overheard: Vec<Vec<u8>> = agents
        .iter_mut()
        .map(|legs| {
            let check = legs.host.check(true);
            world.feed(legs.host.addr, &check);
            check
        })
        .collect();
    assert_silence(&mut world, &agents, |n| {
        (stranger(n), overheard[n as usize % overheard.len()].clone())
    });
    assert_eq!(world.stun(StunOutcome::Replayed), u64::from(FLOOD));
    assert!(world.dropped(DropReason::UnknownSource) > 0);
    println!("media that flows costs no allocation");
    let before = counting_allocator::allocations();
    for _ in 0..1_000 {
        world.pass(Duration::from_micros(50));
        for legs in &agents[..10] {
            let to = world
                .relay
                .handle_input(world.now, legs.host.addr, &[128; 1200]);
            assert_eq!(to, Some(legs.viewer.addr));
        }
    }
    assert_eq!(counting_allocator::allocations() - before, 0);
}
