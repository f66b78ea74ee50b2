//! The core on a network that loses, reorders, repeats and rebinds, by seed.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use authloop_relay::{Leg, Legs, PathAddr};
use authloop_relay_testkit::{IceAgent, RELAY, World};

const SESSIONS: u16 = 8;
const TICK: Duration = Duration::from_millis(10);

/// How bad the network is.
#[derive(Clone, Copy)]
struct Network {
    /// In percent.
    loss: u64,
    /// In percent.
    repeated: u64,
    /// Delay varies between zero and this, so packets overtake each other.
    jitter_ms: u64,
    /// A NAT rebinds one endpoint this often.
    rebind_every: Duration,
}

type Due = Reverse<(Instant, u64, Option<PathAddr>, PathAddr, Vec<u8>)>;

struct Sim {
    world: World,
    agents: Vec<Legs<IceAgent>>,
    network: Network,
    wire: BinaryHeap<Due>,
    random: u64,
    sequence: u64,
    /// Every address that an agent ever had, by session and leg.
    known: Vec<(PathAddr, u16, Leg)>,
    delivered: Vec<Legs<u64>>,
}

impl Sim {
    fn new(seed: u64, network: Network) -> Self {
        let mut world = World::new();
        let agents: Vec<_> = (0..SESSIONS).map(|n| world.open(n)).collect();
        let known = (0..SESSIONS).zip(&agents).flat_map(|(n, legs)| {
            [
                (legs.host.addr, n, Leg::Host),
                (legs.viewer.addr, n, Leg::Viewer),
            ]
        });
        Self {
            known: known.collect(),
            delivered: vec![Legs::default(); usize::from(SESSIONS)],
            world,
            agents,
            network,
            wire: BinaryHeap::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sequence: 0,
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % sides
    }

    /// Puts a datagram on the wire: to the relay from `src`, or from the relay to `dst`.
    fn put(&mut self, src: Option<PathAddr>, dst: PathAddr, datagram: &[u8]) {
        let copies = match self.dice(100) {
            roll if roll < self.network.loss => 0,
            roll if roll < self.network.loss + self.network.repeated => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = 1 + self.dice(self.network.jitter_ms);
            self.sequence += 1;
            let at = self.world.now + Duration::from_millis(delay);
            self.wire
                .push(Reverse((at, self.sequence, src, dst, datagram.to_vec())));
        }
    }

    fn run(&mut self, time: Duration) {
        let (start, mut ticks) = (self.world.now, 0_u32);
        while self.world.now < start + time {
            ticks += 1;
            let rebind = self.network.rebind_every.as_millis() / TICK.as_millis();
            if ticks.is_multiple_of(rebind as u32) {
                self.rebind();
            }
            for n in 0..SESSIONS {
                for leg in [Leg::Host, Leg::Viewer] {
                    self.speak(n, leg, ticks);
                }
            }
            self.world.pass(TICK);
            self.deliver();
        }
    }

    fn speak(&mut self, n: u16, leg: Leg, ticks: u32) {
        let agent = self.agents[usize::from(n)].get_mut(leg);
        let src = agent.addr;
        // The host nominates once, as webrtc-rs does; the viewer always, as Chromium does.
        let nominate = leg == Leg::Viewer || ticks < 100;
        let check = (ticks + u32::from(n))
            .is_multiple_of(50)
            .then(|| agent.check(nominate));
        if let Some(check) = check {
            self.put(Some(src), RELAY, &check);
        }
        let [high, low] = n.to_be_bytes();
        self.put(Some(src), RELAY, &[128, leg as u8, high, low]);
    }

    fn deliver(&mut self) {
        while self
            .wire
            .peek()
            .is_some_and(|Reverse(due)| due.0 <= self.world.now)
        {
            let Some(Reverse((_, _, src, dst, datagram))) = self.wire.pop() else {
                return;
            };
            match src {
                Some(src) => {
                    for (to, sent) in self.world.feed(src, &datagram) {
                        self.put(None, to, &sent);
                    }
                }
                None => self.arrive(dst, &datagram),
            }
        }
    }

    fn arrive(&mut self, dst: PathAddr, datagram: &[u8]) {
        let owner = self.known.iter().find(|(addr, ..)| *addr == dst);
        let &(_, n, leg) = owner.expect("the relay sent to an address that nobody ever had");
        let agent = self.agents[usize::from(n)].get(leg);
        if agent.addr != dst {
            return;
        }
        if let [128, from, high, low] = *datagram {
            assert_eq!(
                u16::from_be_bytes([high, low]),
                n,
                "a packet crossed sessions"
            );
            assert_eq!(from, leg.other() as u8, "a packet came back to its sender");
            *self.delivered[usize::from(n)].get_mut(leg) += 1;
        } else if let Some(answer) = agent.answer(datagram, RELAY) {
            self.put(Some(dst), RELAY, &answer);
        }
    }

    fn rebind(&mut self) {
        let n = self.dice(u64::from(SESSIONS)) as u16;
        let leg = [Leg::Host, Leg::Viewer][self.dice(2) as usize];
        self.sequence += 1;
        let port = 1_024 + (self.sequence % 60_000) as u16;
        let addr = PathAddr::from_v4([100, 64, (self.sequence >> 16) as u8, n as u8], port);
        if self.known.iter().all(|(known, ..)| *known != addr) {
            self.agents[usize::from(n)].get_mut(leg).addr = addr;
            self.known.push((addr, n, leg));
        }
    }

    fn delivered(&self) -> Vec<u64> {
        self.delivered
            .iter()
            .flat_map(|legs| [legs.host, legs.viewer])
            .collect()
    }
}

/// Runs seeds through a network, calms it, and expects every leg to be served again.
fn assert_recovery(network: Network) {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut sim = Sim::new(seed, network);
        sim.run(Duration::from_secs(30));
        let stormy = sim.delivered();
        // The last rebinding is over within a check, a proof and the quiet time.
        sim.network.rebind_every = Duration::from_secs(3_600);
        sim.run(Duration::from_secs(8));
        let before = sim.delivered();
        sim.run(Duration::from_secs(2));
        let after = sim.delivered();

        let least = 200 * (100 - 3 * network.loss) / 100;
        for ((stormy, before), after) in stormy.iter().zip(before).zip(after) {
            assert!(*stormy > 0, "a leg was never served");
            assert!(
                after - before >= least,
                "{} of {least} packets",
                after - before
            );
        }
    }
}

#[test]
fn a_good_network_serves_every_leg() {
    assert_recovery(Network {
        loss: 0,
        repeated: 0,
        jitter_ms: 1,
        rebind_every: Duration::from_secs(3_600),
    });
}

#[test]
fn loss_reordering_and_repetition_do_not_unsettle_a_session() {
    assert_recovery(Network {
        loss: 10,
        repeated: 10,
        jitter_ms: 80,
        rebind_every: Duration::from_secs(3_600),
    });
}

#[test]
fn a_rebinding_endpoint_is_found_again() {
    assert_recovery(Network {
        loss: 5,
        repeated: 5,
        jitter_ms: 40,
        rebind_every: Duration::from_millis(700),
    });
}
