//! One relay, its sessions' agents and a clock that only tests move.

use std::time::{Duration, Instant};

use authloop_relay::{
    DropReason, Leg, LegCredentials, Legs, PathAddr, Relay, RelayEvent, RelaySessionId, StunOutcome,
};

use crate::ice_agent::IceAgent;

/// The relay's own address.
pub const RELAY: PathAddr = PathAddr::from_v4([198, 51, 100, 1], 3478);

/// Datagrams that the relay sent, each with its destination.
pub type SentDatagrams = Vec<(PathAddr, Vec<u8>)>;

/// One relay and the time it is told.
#[derive(Debug)]
pub struct World {
    /// The relay under test.
    pub relay: Relay,
    /// The test's own time.
    pub now: Instant,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Creates a relay without sessions.
    #[must_use]
    pub fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an epoch for the test's own clock"
        )]
        let now = Instant::now();
        Self {
            relay: Relay::new(now, [7; 32]),
            now,
        }
    }

    /// Lets time pass, with the relay's timeouts on the way.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(125).min(end - self.now);
            self.relay.handle_timeout(self.now);
        }
    }

    /// Feeds one datagram and returns all that left because of it.
    pub fn feed(&mut self, src: PathAddr, datagram: &[u8]) -> SentDatagrams {
        let mut sent = SentDatagrams::new();
        if let Some(to) = self.relay.handle_input(self.now, src, datagram) {
            sent.push((to, datagram.to_vec()));
        }
        while let Some(transmit) = self.relay.poll_output() {
            sent.push((transmit.to, transmit.payload.to_vec()));
        }
        sent
    }

    /// Opens session `n` with both agents known to the relay, nothing exchanged yet.
    pub fn open(&mut self, n: u16) -> Legs<IceAgent> {
        let agents = Legs {
            host: agent(n, Leg::Host),
            viewer: agent(n, Leg::Viewer),
        };
        let credentials = Legs {
            host: agents.host.relay.clone(),
            viewer: agents.viewer.relay.clone(),
        };
        self.relay.open_session(session_id(n), credentials).unwrap();
        for (leg, agent) in [(Leg::Host, &agents.host), (Leg::Viewer, &agents.viewer)] {
            self.relay
                .set_remote_credentials(self.now, session_id(n), leg, agent.remote())
                .unwrap();
        }
        agents
    }

    /// Opens session `n` and connects both of its legs, proven both ways.
    pub fn connect(&mut self, n: u16) -> Legs<IceAgent> {
        let mut agents = self.open(n);
        self.check(&mut agents.host);
        self.check(&mut agents.viewer);
        agents
    }

    /// Sends a nominating check, and answers the checks that the relay sends back.
    pub fn check(&mut self, agent: &mut IceAgent) -> SentDatagrams {
        let check = agent.check(true);
        let mut sent = self.feed(agent.addr, &check);
        let answers: Vec<_> = sent
            .iter()
            .filter(|(to, _)| *to == agent.addr)
            .filter_map(|(_, datagram)| agent.answer(datagram, RELAY))
            .collect();
        for answer in answers {
            sent.extend(self.feed(agent.addr, &answer));
        }
        sent
    }

    /// Takes all events that wait.
    pub fn events(&mut self) -> Vec<RelayEvent> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }

    /// Datagrams that the relay dropped for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.relay.counters().dropped(reason)
    }

    /// STUN messages that fared one way.
    #[must_use]
    pub fn stun(&self, outcome: StunOutcome) -> u64 {
        self.relay.counters().stun(outcome)
    }
}

/// The id of session `n`.
#[must_use]
pub fn session_id(n: u16) -> RelaySessionId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    RelaySessionId(id)
}

/// One leg's credentials in session `n` after this many restarts.
#[must_use]
pub fn credentials(n: u16, leg: Leg, restarts: u8) -> LegCredentials {
    let [high, low] = n.to_be_bytes();
    let entropy = std::array::from_fn(|at| match at % 6 {
        0 => high,
        1 => low,
        2 => leg as u8,
        3 => restarts,
        _ => 0x5a,
    });
    LegCredentials::from_entropy(&entropy)
}

fn agent(n: u16, leg: Leg) -> IceAgent {
    let [high, low] = n.to_be_bytes();
    let addr = PathAddr::from_v4([10, high, low, 1], 50_000 + leg as u16);
    IceAgent::new(
        addr,
        credentials(n, leg, 0),
        &format!("{n:05}{}", leg as u8),
    )
}
