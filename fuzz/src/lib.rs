//! What each fuzz target does with its bytes; shared with the corpus replay on stable.

pub mod stream;

use std::time::{Duration, Instant};

use authloop_relay::{
    DatagramKind, Leg, LegCredentials, Legs, PathAddr, Relay, RelaySessionId, RemoteCredentials,
    stun::{self, BindingMessage, BindingRequest, StunClass, TransactionId},
};

const PWD: &str = "0123456789012345678901";

/// The parser neither panics nor lets an unkeyed message through.
pub fn stun(data: &[u8]) {
    let Ok(message) = BindingMessage::parse(data) else {
        return;
    };
    let _ = (message.class(), message.username(), message.use_candidate());
    let _ = (message.transaction_id(), message.fingerprint_holds());
    assert!(!message.integrity_holds(b"a key that no corpus knows"));
}

/// A relay without sessions is silent, whatever comes.
pub fn demux(data: &[u8]) {
    let _ = DatagramKind::of(data);
    let now = Instant::now();
    let mut relay = Relay::new(now, [1; 32]);
    let src = PathAddr::from_v4([192, 0, 2, 1], 1);
    assert_eq!(relay.handle_input(now, src, data), None);
    assert!(relay.poll_output().is_none());
}

/// A sequence of commands and datagrams: no panic, and nothing to a stranger but answers.
pub fn relay(data: &[u8]) {
    let mut script = Script { data, checks: 0 };
    let mut now = Instant::now();
    let mut relay = Relay::new(now, [1; 32]);
    let mut legs = [credentials(0), credentials(1)];
    let mut restarts = 1;
    let id = RelaySessionId([7; 16]);
    while let Some(op) = script.byte() {
        let src = PathAddr::from_v4([192, 0, 2, op >> 5], 1_000 + u16::from(op >> 4 & 1));
        let (leg, side) = match op & 8 {
            0 => (Leg::Host, 0),
            _ => (Leg::Viewer, 1),
        };
        let datagram = match op & 7 {
            0 => {
                let [host, viewer] = legs.clone();
                let _ = relay.open_session(id, Legs { host, viewer });
                continue;
            }
            1 => {
                restarts += 1;
                let fresh = credentials(restarts);
                if relay.restart_leg(id, leg, fresh.clone()).is_ok() {
                    legs[side] = fresh;
                }
                continue;
            }
            2 => {
                if let Ok(remote) = RemoteCredentials::parse("abcd", PWD) {
                    let _ = relay.set_remote_credentials(now, id, leg, remote);
                }
                continue;
            }
            3 if op & 0xf0 == 0xf0 => {
                let _ = relay.close_session(id);
                continue;
            }
            3 => {
                now += Duration::from_millis(u64::from(op) * 50);
                relay.handle_timeout(now);
                continue;
            }
            4 => script.check(&legs[side], op & 0x10 != 0),
            5 => vec![128; usize::from(op)],
            6 => vec![22; usize::from(op)],
            _ => script.bytes(usize::from(op)),
        };
        feed(&mut relay, now, src, &datagram);
    }
}

/// Feeds a datagram, and answers the relay's own checks once.
fn feed(relay: &mut Relay, now: Instant, src: PathAddr, datagram: &[u8]) {
    relay.handle_input(now, src, datagram);
    let mut answers = Vec::new();
    while let Some(transmit) = relay.poll_output() {
        let Ok(message) = BindingMessage::parse(transmit.payload) else {
            continue;
        };
        if message.class() == StunClass::Request {
            let mut out = Vec::new();
            let id = message.transaction_id();
            stun::write_binding_success(&mut out, id, src, PWD.as_bytes(), true);
            answers.push((transmit.to, out));
        }
    }
    for (src, answer) in answers {
        relay.handle_input(now, src, &answer);
        while relay.poll_output().is_some() {}
    }
    while relay.poll_event().is_some() {}
}

struct Script<'a> {
    data: &'a [u8],
    checks: u32,
}

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.data.split_first()?;
        self.data = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.data.split_at(count.min(self.data.len()));
        self.data = rest;
        taken.to_vec()
    }

    fn check(&mut self, leg: &LegCredentials, nominate: bool) -> Vec<u8> {
        self.checks += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.checks.to_be_bytes());
        let mut out = Vec::new();
        BindingRequest {
            transaction_id: TransactionId(id),
            to_ufrag: leg.ufrag.as_str().as_bytes(),
            from_ufrag: b"abcd",
            pwd: leg.pwd.as_str().as_bytes(),
            priority: 1,
            controlling: Some(1),
            use_candidate: nominate,
        }
        .write(&mut out);
        out
    }
}

fn credentials(n: u8) -> LegCredentials {
    LegCredentials::from_entropy(&[n; LegCredentials::ENTROPY_BYTES])
}
