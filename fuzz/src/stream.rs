//! ICE-TCP's and TURN's streams.

use std::time::{Duration, Instant};

use authloop_relay::{
    LegCredentials, PathAddr, rfc4571,
    turn::{self, TurnConnection, TurnFrame, TurnGrant, TurnVerdict},
};
use authloop_relay_testkit::{
    TurnClient,
    turn_client::{self as client, method},
};

use crate::{Script, credentials};

const CHANNEL_NUMBER: u16 = 0x4001;

/// Both kinds of stream are followed to their end, or to where they cannot be followed any more.
pub fn split(data: &[u8]) {
    follow(data, |rest| Some(turn::split(rest).ok()??.1));
    follow(data, |rest| Some(rfc4571::split(rest).ok()??.1));
}

fn follow(mut rest: &[u8], next: impl Fn(&[u8]) -> Option<usize>) {
    while let Some(used) = next(rest) {
        assert!(used > 0, "the stream would never end");
        assert!(next(&rest[..used - 1]).is_none(), "a frame before its end");
        rest = &rest[used..];
    }
}

/// A client that knows a leg's credentials, amid noise: no panic, nothing to the relay before the
/// client has proved itself, and nothing but what its permission covers. Gives the number of
/// datagrams that reached the relay.
pub fn turn(data: &[u8]) -> usize {
    let mut script = Script { data, checks: 0 };
    let mut now = Instant::now();
    let mut server = TurnConnection::new(PathAddr::from_v4([192, 0, 2, 9], 9), [1; 16]);
    let leg = credentials(0);
    let mut client = TurnClient::new(leg.ufrag.as_str(), leg.pwd.as_str());
    let mut permitted = false;
    let mut relayed = 0;
    while let Some(op) = script.byte() {
        let bytes = match op & 7 {
            0 => {
                now += Duration::from_secs(u64::from(op) * 5);
                continue;
            }
            1 => {
                let mut out = Vec::new();
                let wrapped = server.wrap(now, &[128; 50], &mut out);
                assert!(permitted || !wrapped, "a datagram for a stranger");
                assert_eq!(wrapped, !out.is_empty());
                continue;
            }
            2 => client.request(method::ALLOCATE, &[client::udp()]),
            3 => client.request(
                method::REFRESH,
                &[client::lifetime(u32::from(op >> 3) * 20)],
            ),
            4 => client.request(method::CREATE_PERMISSION, &[client::peer(peer(op))]),
            5 => {
                let bind = [client::channel(CHANNEL_NUMBER), client::peer(peer(op))];
                client.request(method::CHANNEL_BIND, &bind)
            }
            6 => [&CHANNEL_NUMBER.to_be_bytes()[..], &[0, 4], b"data"].concat(),
            _ => script.bytes(usize::from(op)),
        };
        let Ok(Some((frame, _))) = turn::split(&bytes) else {
            continue;
        };
        permitted |= matches!(op & 7, 4 | 5) && server.relayed().is_some();
        match feed(&mut server, now, frame, &leg, &mut client) {
            None => break,
            Some(to_relay) => {
                assert!(permitted || !to_relay, "a datagram of a stranger's");
                relayed += usize::from(to_relay);
            }
        }
    }
    relayed
}

/// Whether the frame went to the relay; `None` once the server closes the stream.
fn feed(
    server: &mut TurnConnection,
    now: Instant,
    frame: TurnFrame<'_>,
    leg: &LegCredentials,
    client: &mut TurnClient,
) -> Option<bool> {
    let mut out = Vec::new();
    let mut verdict = server.handle_frame(now, frame, &mut out);
    if let TurnVerdict::NeedLeg(ufrag) = verdict {
        if ufrag != leg.ufrag {
            return None;
        }
        server.grant(TurnGrant {
            ufrag,
            pwd: leg.pwd.clone(),
            candidates: vec![peer(0)],
        });
        verdict = server.handle_frame(now, frame, &mut out);
    }
    if let Ok(Some((TurnFrame::Stun(reply), used))) = turn::split(&out) {
        assert_eq!(used, out.len(), "one answer at most");
        client.read(reply);
    }
    match verdict {
        TurnVerdict::Done => Some(false),
        TurnVerdict::ToRelay(_) => {
            assert!(out.is_empty(), "an answer to a datagram");
            Some(true)
        }
        TurnVerdict::NeedLeg(_) => panic!("the leg was given"),
        TurnVerdict::Close => None,
    }
}

/// The leg's candidate, or one that is not.
fn peer(op: u8) -> PathAddr {
    PathAddr::from_v4([192, 0, 2, 1 + (op >> 7)], 3478)
}
