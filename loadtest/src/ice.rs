//! ICE as both endpoints of every session speak it with the relay.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use authloop_relay::{
    Leg, PathAddr,
    stun::{self, BindingMessage, BindingRequest, StunClass, TransactionId},
};

use crate::net::SideSocket;

/// Every endpoint's own password: the load has no secrets.
pub(crate) const PWD: &str = "loadtest+is+no+secret0";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Checks per go, far fewer than the relay's socket holds.
const CHECKS_PER_BATCH: u32 = 128;

/// What the relay told one leg.
#[derive(Debug, Clone)]
pub(crate) struct RelayCredentials {
    /// The leg's ufrag at the relay.
    pub ufrag: String,
    /// The leg's password at the relay.
    pub pwd: String,
}

/// An endpoint's own ufrag, from which its session is read back.
pub(crate) fn ufrag(n: u32) -> String {
    format!("s{n:07}")
}

/// A session's id: spread over the shards as random ones are.
pub(crate) fn session_id(n: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
    id[4..8].copy_from_slice(&n.to_be_bytes());
    id
}

/// Connects one side of sessions `0..credentials.len()`, proven both ways.
pub(crate) fn connect(
    side: &mut SideSocket,
    leg: Leg,
    credentials: &[RelayCredentials],
) -> Result<()> {
    let count = credentials.len() as u32;
    let mut proven = vec![false; credentials.len()];
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut attempt = 0;
    while proven.iter().any(|done| !done) {
        attempt += 1;
        for start in (0..count).step_by(CHECKS_PER_BATCH as usize) {
            let chunk = start..(start + CHECKS_PER_BATCH).min(count);
            for n in chunk.filter(|n| !proven[*n as usize]) {
                check(side, leg, n, attempt, &credentials[n as usize])?;
            }
            side.flush()?;
            let until = Instant::now() + Duration::from_millis(2);
            while Instant::now() < until {
                answer_all(side, &mut |n| proven[n as usize] = true)?;
            }
        }
        ensure!(
            Instant::now() < deadline,
            "the relay did not connect every session in time"
        );
    }
    Ok(())
}

/// Answers the relay's own checks among what arrives, and says whose they were.
pub(crate) fn answer_all(side: &mut SideSocket, answered: &mut impl FnMut(u32)) -> Result<usize> {
    let mut due = Vec::new();
    let received = side.receive(|datagram| {
        due.extend(relays_check(datagram));
        Ok(())
    })?;
    for (n, id) in due {
        answer(side, n, id)?;
        answered(n);
    }
    side.flush()?;
    Ok(received)
}

/// The session and transaction of a check that the relay sent, if it is one.
pub(crate) fn relays_check(datagram: &[u8]) -> Option<(u32, TransactionId)> {
    let message = BindingMessage::parse(datagram).ok()?;
    if message.class() != StunClass::Request || !message.integrity_holds(PWD.as_bytes()) {
        return None;
    }
    let username = std::str::from_utf8(message.username()?).ok()?;
    let (mine, _) = username.split_once(':')?;
    let n = mine.strip_prefix('s')?.parse().ok()?;
    Some((n, message.transaction_id()))
}

/// Answers one of the relay's checks.
pub(crate) fn answer(side: &mut SideSocket, n: u32, id: TransactionId) -> Result<()> {
    let relay = PathAddr::from_v4([127, 0, 0, 1], 1);
    side.push(n, |out| {
        stun::write_binding_success(out, id, relay, PWD.as_bytes(), true);
    })
}

fn check(
    side: &mut SideSocket,
    leg: Leg,
    n: u32,
    attempt: u32,
    credentials: &RelayCredentials,
) -> Result<()> {
    let mut id = [leg as u8; 12];
    id[1..5].copy_from_slice(&n.to_be_bytes());
    id[5..9].copy_from_slice(&attempt.to_be_bytes());
    let mine = ufrag(n);
    let check = BindingRequest {
        transaction_id: TransactionId(id),
        to_ufrag: credentials.ufrag.as_bytes(),
        from_ufrag: mine.as_bytes(),
        pwd: credentials.pwd.as_bytes(),
        priority: 1,
        controlling: Some(u64::from(n)),
        use_candidate: true,
    };
    side.push(n, |out| {
        check.write(out);
    })
}
