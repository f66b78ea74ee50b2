//! TURN as both endpoints of every session speak it with a peer server (RFC 8656).
//!
//! Two allocations a session, each bound to the other's relayed address by a channel: what WebRTC
//! does when both sides may use relays only.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

use crate::net::SideSocket;

/// Credentials that the servers are started with.
pub(crate) const USER: &str = "load";
/// As above.
pub(crate) const PASSWORD: &str = "test";
/// As above.
pub(crate) const REALM: &str = "loadtest";

const COOKIE: u32 = 0x2112_a442;
const ALLOCATE: u16 = 0x003;
const CREATE_PERMISSION: u16 = 0x008;
const CHANNEL_BIND: u16 = 0x009;
/// RFC 8656 §12: the first channel number; each client has one channel only.
const CHANNEL_NUMBER: u16 = 0x4000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(40);
const CLIENTS_PER_BATCH: usize = 64;
/// RFC 8489 §6.2.1: the initial retransmission timeout.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// One client's way through the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TurnStep {
    Allocate,
    Permit,
    Bind,
    Done,
}

struct TurnPeerClient {
    step: TurnStep,
    nonce: Vec<u8>,
    realm: Vec<u8>,
    relayed: Option<SocketAddrV4>,
    /// The last ERROR-CODE: for the message when nothing goes on.
    last_error_code: Option<u16>,
}

/// Wraps a payload for the client's one channel.
pub(crate) fn wrap(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&CHANNEL_NUMBER.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
}

/// The payload within ChannelData, if it is that.
pub(crate) fn unwrap(datagram: &[u8]) -> Option<&[u8]> {
    let (head, rest) = datagram.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    (head[..2] == CHANNEL_NUMBER.to_be_bytes()).then(|| rest.get(..length))?
}

/// Allocates on both sides of `sessions` sessions, then binds each to the other.
pub(crate) fn connect(sides: [&mut SideSocket; 2], sessions: u32) -> Result<()> {
    let mut clients: [Vec<TurnPeerClient>; 2] =
        [(), ()].map(|()| (0..sessions).map(|_| TurnPeerClient::new()).collect());
    let [host, viewer] = sides;
    advance(host, &mut clients[0], None, &TurnStep::Permit)?;
    advance(viewer, &mut clients[1], None, &TurnStep::Permit)?;
    let relayed =
        |clients: &[TurnPeerClient]| clients.iter().map(|c| c.relayed).collect::<Vec<_>>();
    let (to_host, to_viewer) = (relayed(&clients[0]), relayed(&clients[1]));
    advance(host, &mut clients[0], Some(&to_viewer), &TurnStep::Done)?;
    advance(viewer, &mut clients[1], Some(&to_host), &TurnStep::Done)
}

/// Drives every client of one side to a step.
fn advance(
    side: &mut SideSocket,
    clients: &mut [TurnPeerClient],
    peers: Option<&[Option<SocketAddrV4>]>,
    goal: &TurnStep,
) -> Result<()> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let todo = (0..clients.len()).filter(|n| clients[*n].step != *goal);
        let todo: Vec<usize> = todo.collect();
        if todo.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let TurnPeerClient {
                step,
                last_error_code,
                ..
            } = &clients[todo[0]];
            let (count, first) = (todo.len(), todo[0]);
            bail!(
                "{count} clients from {first} on are stuck at {step:?}, refused with {last_error_code:?}"
            );
        }
        for chunk in todo.chunks(CLIENTS_PER_BATCH) {
            for &n in chunk {
                let peer = peers.and_then(|peers| peers[n]);
                let request = clients[n].request(n as u32, peer);
                side.push(n as u32, |out| out.extend_from_slice(&request))?;
            }
            side.flush()?;
            // A second Allocate may move an allocation, so nobody asks again before it is due.
            let until = Instant::now() + RETRY_INTERVAL;
            let mut answers = 0;
            while answers < chunk.len() && Instant::now() < until {
                answers += side.receive(|datagram| {
                    note_answer(clients, datagram);
                    Ok(())
                })?;
            }
        }
    }
}

impl TurnPeerClient {
    fn new() -> Self {
        Self {
            step: TurnStep::Allocate,
            nonce: Vec::new(),
            realm: Vec::new(),
            relayed: None,
            last_error_code: None,
        }
    }

    fn request(&self, n: u32, peer: Option<SocketAddrV4>) -> Vec<u8> {
        let method = match self.step {
            TurnStep::Allocate => ALLOCATE,
            TurnStep::Permit => CREATE_PERMISSION,
            TurnStep::Bind | TurnStep::Done => CHANNEL_BIND,
        };
        let mut id = [method as u8; 12];
        id[..4].copy_from_slice(&n.to_be_bytes());
        // A server may take a second try for a retransmission, unless it is another transaction.
        id[4..6].copy_from_slice(&[self.nonce.len() as u8, u8::from(peer.is_some())]);
        let mut out = [
            &method.to_be_bytes()[..],
            &[0, 0],
            &COOKIE.to_be_bytes(),
            &id,
        ]
        .concat();
        match self.step {
            // REQUESTED-TRANSPORT: UDP.
            TurnStep::Allocate => attribute(&mut out, 0x0019, &[17, 0, 0, 0]),
            TurnStep::Permit => {}
            TurnStep::Bind | TurnStep::Done => {
                let [high, low] = CHANNEL_NUMBER.to_be_bytes();
                attribute(&mut out, 0x000c, &[high, low, 0, 0]);
            }
        }
        if let Some(peer) = peer {
            let port = peer.port() ^ (COOKIE >> 16) as u16;
            let ip = u32::from(*peer.ip()) ^ COOKIE;
            let value = [&[0, 1], &port.to_be_bytes()[..], &ip.to_be_bytes()].concat();
            attribute(&mut out, 0x0012, &value);
        }
        if !self.nonce.is_empty() {
            self.sign(&mut out);
        }
        let length = (out.len() - 20) as u16;
        out[2..4].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// RFC 8489 §9.2: long-term credentials.
    fn sign(&self, out: &mut Vec<u8>) {
        attribute(out, 0x0006, USER.as_bytes());
        attribute(out, 0x0014, &self.realm);
        attribute(out, 0x0015, &self.nonce);
        let realm = String::from_utf8_lossy(&self.realm);
        let key = Md5::digest(format!("{USER}:{realm}:{PASSWORD}"));
        let length = (out.len() - 20 + 24) as u16;
        out[2..4].copy_from_slice(&length.to_be_bytes());
        if let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&key) {
            mac.update(out);
            attribute(out, 0x0008, &mac.finalize().into_bytes());
        }
    }
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Takes one client a step further, or gives it the nonce that it lacked.
fn note_answer(clients: &mut [TurnPeerClient], datagram: &[u8]) -> Option<()> {
    let (header, mut rest) = datagram.split_first_chunk::<20>()?;
    let [k0, k1, _, _, _, _, _, _, n0, n1, n2, n3, ..] = *header;
    let client = clients.get_mut(u32::from_be_bytes([n0, n1, n2, n3]) as usize)?;
    let kind = u16::from_be_bytes([k0, k1]);
    let (method, class) = (kind & 0x000f, kind & 0x0110);
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..length)?;
        match u16::from_be_bytes([head[0], head[1]]) {
            0x0015 => client.nonce = value.to_vec(),
            0x0014 => client.realm = value.to_vec(),
            0x0009 => {
                client.last_error_code = value
                    .get(2..4)
                    .map(|c| u16::from(c[0]) * 100 + u16::from(c[1]))
            }
            0x0016 => client.relayed = address(value),
            _ => {}
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    client.step = match (class, method, &client.step) {
        (0x0100, ALLOCATE, TurnStep::Allocate) if client.relayed.is_some() => TurnStep::Permit,
        (0x0100, CREATE_PERMISSION, TurnStep::Permit) => TurnStep::Bind,
        (0x0100, CHANNEL_BIND, TurnStep::Bind) => TurnStep::Done,
        _ => return None,
    };
    Some(())
}

fn address(value: &[u8]) -> Option<SocketAddrV4> {
    let [_, 1, p0, p1, a, b, c, d] = *value else {
        return None;
    };
    let port = u16::from_be_bytes([p0, p1]) ^ (COOKIE >> 16) as u16;
    let ip = u32::from_be_bytes([a, b, c, d]) ^ COOKIE;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_data_survives_the_round_trip() {
        let mut out = Vec::new();

        wrap(&mut out, 3);
        out.extend_from_slice(b"abc");

        assert_eq!(unwrap(&out), Some(&b"abc"[..]));
        assert_eq!(unwrap(&out[..6]), None);
    }
}
