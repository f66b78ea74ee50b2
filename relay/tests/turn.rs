//! The virtual TURN server: what a leg's owner can do with it, and what nobody can.

#![cfg(test)]

#[path = "turn/bench.rs"]
mod bench;

use std::{net::SocketAddr, time::Duration};

use authloop_relay::{
    MAX_DATAGRAM_BYTES, PathAddr,
    turn::{TurnConnection, TurnFrame, TurnVerdict, split},
};
use authloop_relay_testkit::{
    TurnClient,
    turn_client::{self as client, attr, method},
};
use proptest::{collection::vec, prelude::*};

use bench::{Bench, CANDIDATE, CLIENT, OTHER_CANDIDATE, RELAYED, VICTIM, some_time};

#[test]
fn a_leg_s_owner_gets_an_allocation_after_the_challenge() {
    let mut bench = Bench::new();

    let challenged = bench.ask(method::ALLOCATE, &[client::udp()]);
    let allocated = bench.ask(method::ALLOCATE, &[client::udp()]);

    assert_eq!(challenged.code, 401);
    assert_eq!((allocated.code, allocated.vouched_for), (0, true));
    assert_eq!(allocated.address(attr::XOR_RELAYED_ADDRESS), Some(RELAYED));
    assert_eq!(allocated.address(attr::XOR_MAPPED_ADDRESS), Some(CLIENT));
    assert_eq!(
        allocated.get(attr::LIFETIME),
        Some(&600u32.to_be_bytes()[..])
    );
    assert!(bench.connection.relayed().is_some());
}

#[test]
fn the_relayed_address_is_of_a_family_that_the_candidates_have() {
    let v6 = PathAddr::from("[2001:db8::1]:3478".parse::<SocketAddr>().unwrap());
    let (v4, both) = (vec![CANDIDATE], vec![v6, CANDIDATE]);
    for (candidates, asked, relayed) in [
        (v4.clone(), None, Some(CANDIDATE)),
        (v4.clone(), Some(1), Some(CANDIDATE)),
        (v4, Some(2), None),
        (vec![v6], None, Some(v6)),
        (vec![v6], Some(1), None),
        (vec![v6], Some(2), Some(v6)),
        // RFC 8656 §7.2: nothing asked for is IPv4.
        (both.clone(), None, Some(CANDIDATE)),
        (both.clone(), Some(2), Some(v6)),
        (both, Some(3), None),
    ] {
        let mut bench = Bench::new();
        bench.candidates = candidates;
        let mut attributes = vec![client::udp()];
        attributes.extend(asked.map(client::family));
        bench.ask(method::ALLOCATE, &attributes);

        let reply = bench.ask(method::ALLOCATE, &attributes);

        let given = reply.address(attr::XOR_RELAYED_ADDRESS);
        assert_eq!(
            given.map(|addr| addr.octets()),
            relayed.map(|addr| addr.octets()),
            "{asked:?}"
        );
        assert_eq!(given, bench.connection.relayed());
        assert_eq!(reply.code, if relayed.is_some() { 0 } else { 440 });
    }
}

#[test]
fn data_goes_both_ways_by_indication_and_by_channel() {
    let mut bench = Bench::allocated();
    let permitted = bench.ask(method::CREATE_PERMISSION, &[client::peer(CANDIDATE)]);
    assert_eq!(permitted.code, 0);
    let send = client::indication(
        method::SEND,
        &[client::peer(CANDIDATE), client::data(b"up")],
    );

    let mut out = Vec::new();
    let verdict = bench
        .connection
        .handle_frame(bench.now, TurnFrame::Stun(&send), &mut out);
    assert_eq!((verdict, out.len()), (TurnVerdict::ToRelay(b"up"), 0));
    let down = bench.wrap(b"down").unwrap();
    let down = bench.client.read(&down);
    assert_eq!(down.address(attr::XOR_PEER_ADDRESS), Some(CANDIDATE));
    assert_eq!(down.get(attr::DATA), Some(&b"down"[..]));

    let asked = [client::channel(0x4001), client::peer(CANDIDATE)];
    assert_eq!(bench.ask(method::CHANNEL_BIND, &asked).code, 0);
    let up = TurnFrame::Channel {
        number: 0x4001,
        data: b"up",
    };
    let verdict = bench.connection.handle_frame(bench.now, up, &mut out);
    assert_eq!(verdict, TurnVerdict::ToRelay(b"up"));
    let down = bench.wrap(b"downs").unwrap();
    let data = TurnFrame::Channel {
        number: 0x4001,
        data: b"downs",
    };
    assert_eq!(split(&down), Ok(Some((data, 12))));
}

#[test]
fn nobody_but_the_leg_s_own_candidate_can_be_a_peer() {
    let mut bench = Bench::allocated();
    let wrong_port = PathAddr::from_v4(CANDIDATE.v4_octets(), 53);

    for peers in [
        vec![client::peer(VICTIM)],
        vec![client::peer(CANDIDATE), client::peer(VICTIM)],
    ] {
        assert_eq!(bench.ask(method::CREATE_PERMISSION, &peers).code, 403);
    }
    for peer in [VICTIM, wrong_port, OTHER_CANDIDATE] {
        let asked = [client::channel(0x4002), client::peer(peer)];
        assert_eq!(bench.ask(method::CHANNEL_BIND, &asked).code, 403);
        let send = client::indication(method::SEND, &[client::peer(peer), client::data(b"up")]);
        let mut out = Vec::new();
        let verdict = bench
            .connection
            .handle_frame(bench.now, TurnFrame::Stun(&send), &mut out);
        assert_eq!((verdict, out.len()), (TurnVerdict::Done, 0));
    }
}

#[test]
fn nothing_passes_before_there_is_a_permission() {
    let mut bench = Bench::allocated();
    let mut out = Vec::new();
    let send = client::indication(
        method::SEND,
        &[client::peer(CANDIDATE), client::data(b"up")],
    );
    let frames = [
        TurnFrame::Stun(&send),
        TurnFrame::Channel {
            number: 0x4001,
            data: b"up",
        },
    ];

    for frame in frames {
        let verdict = bench.connection.handle_frame(bench.now, frame, &mut out);
        assert_eq!(verdict, TurnVerdict::Done);
    }

    assert_eq!((bench.wrap(b"down"), out.len()), (None, 0));
}

#[test]
fn permissions_channels_and_allocations_end() {
    let mut bench = Bench::bound();
    let start = bench.now;

    bench.now = start + Duration::from_secs(301);
    assert_eq!(bench.wrap(b"down"), None);
    assert_eq!(
        bench
            .ask(method::CREATE_PERMISSION, &[client::peer(CANDIDATE)])
            .code,
        0
    );
    assert!(bench.wrap(b"down").is_some());

    bench.now = start + Duration::from_secs(601);
    assert_eq!(bench.wrap(b"down"), None);
    assert!(bench.connection.relayed().is_none());
    assert_eq!(
        bench.ask(method::REFRESH, &[client::lifetime(600)]).code,
        437
    );
}

#[test]
fn a_refresh_prolongs_and_a_zero_ends() {
    let mut bench = Bench::allocated();
    bench.now += Duration::from_secs(599);

    let prolonged = bench.ask(method::REFRESH, &[client::lifetime(1_000_000)]);
    assert_eq!(
        prolonged.get(attr::LIFETIME),
        Some(&3600u32.to_be_bytes()[..])
    );
    bench.now += Duration::from_secs(3_599);
    assert!(bench.connection.relayed().is_some());
    let ended = bench.ask(method::REFRESH, &[client::lifetime(0)]);

    assert_eq!(
        (ended.code, bench.connection.relayed().is_some()),
        (0, false)
    );
}

#[test]
fn what_the_server_does_not_do_it_refuses_by_name() {
    let mut bench = Bench::new();
    bench.ask(method::ALLOCATE, &[client::udp()]);
    let even_port = (0x0018, vec![0x80]);

    for (attributes, code) in [
        (vec![], 400),
        (vec![(attr::REQUESTED_TRANSPORT, vec![6, 0, 0, 0])], 442),
        (vec![client::udp(), client::family(2)], 440),
        (vec![client::udp(), even_port], 420),
        (vec![client::udp(), client::family(1)], 0),
        (vec![client::udp()], 437),
    ] {
        let reply = bench.ask(method::ALLOCATE, &attributes);
        assert_eq!(
            (reply.code, reply.vouched_for),
            (code, true),
            "{attributes:?}"
        );
    }
}

#[test]
fn a_wrong_password_a_stale_nonce_or_another_leg_get_nothing() {
    let mut bench = Bench::allocated();
    let owner = bench.client.clone();

    bench.client = TurnClient {
        pwd: "another password".to_owned(),
        ..owner.clone()
    };
    let wrong = bench.ask(method::REFRESH, &[client::lifetime(0)]);
    bench.client = TurnClient {
        nonce: b"of another stream".to_vec(),
        ..owner.clone()
    };
    let stale = bench.ask(method::REFRESH, &[client::lifetime(0)]);
    bench.client = TurnClient {
        ufrag: "AAAABBBBCCCCDDDD".to_owned(),
        ..owner
    };
    let another = bench.ask(method::REFRESH, &[client::lifetime(0)]);

    assert_eq!([wrong.code, stale.code, another.code], [401, 438, 441]);
    assert!(bench.connection.relayed().is_some());
}

#[test]
fn a_stream_that_never_proves_itself_is_closed() {
    let mut bench = Bench::new();
    let request =
        TurnClient::new("AAAABBBBCCCCDDDD", "x").request(method::ALLOCATE, &[client::udp()]);
    let mut out = Vec::new();

    let verdicts: Vec<_> = (0..8)
        .map(|_| {
            bench
                .connection
                .handle_frame(bench.now, TurnFrame::Stun(&request), &mut out)
        })
        .collect();

    assert_eq!(verdicts.last(), Some(&TurnVerdict::Close));
    assert_eq!(
        verdicts.iter().filter(|v| **v == TurnVerdict::Done).count(),
        7
    );
}

proptest! {
    /// Whatever comes, nothing reaches the relay but by the leg's owner, and nothing panics.
    #[test]
    fn strangers_reach_nobody(frames in vec(hostile(), 0..24)) {
        let mut connection = TurnConnection::new(CLIENT, [1; 16]);
        let mut out = Vec::new();
        for bytes in &frames {
            let Ok(Some((frame, _))) = split(bytes) else { continue };
            let verdict = connection.handle_frame(some_time(), frame, &mut out);
            prop_assert!(!matches!(verdict, TurnVerdict::ToRelay(_)));
        }
        prop_assert!(connection.relayed().is_none());
        prop_assert!(!connection.wrap(some_time(), b"down", &mut Vec::new()));
        prop_assert!(out.len() <= 128 * frames.len());
    }

    /// A flipped bit anywhere in an authentic request never changes the allocation.
    #[test]
    fn a_forged_bit_changes_nothing(bit in 0usize..4096) {
        let mut bench = Bench::bound();
        let mut request = bench.client.request(method::REFRESH, &[client::lifetime(0)]);
        let bit = bit % (request.len() * 8);
        request[bit / 8] ^= 1 << (bit % 8);

        if let Ok(Some((frame, _))) = split(&request) {
            let _ = bench.connection.handle_frame(bench.now, frame, &mut Vec::new());
        }

        prop_assert!(bench.connection.relayed().is_some() && bench.wrap(b"down").is_some());
    }

    #[test]
    fn every_datagram_comes_back_whole(data in vec(any::<u8>(), 0..=MAX_DATAGRAM_BYTES), by_channel: bool) {
        let mut bench = if by_channel { Bench::bound() } else { Bench::allocated() };
        bench.ask(method::CREATE_PERMISSION, &[client::peer(CANDIDATE)]);

        let wrapped = bench.wrap(&data).unwrap();

        let (frame, used) = split(&wrapped).unwrap().unwrap();
        prop_assert_eq!(used, wrapped.len());
        match frame {
            TurnFrame::Channel { data: read, .. } => prop_assert_eq!(read, &data[..]),
            TurnFrame::Stun(bytes) => {
                let read = bench.client.read(bytes);
                prop_assert_eq!(read.get(attr::DATA), Some(&data[..]));
            }
        }
    }
}

/// Frames that look like TURN's as far as the first bytes go.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just(1u16),
        Just(3),
        Just(4),
        Just(8),
        Just(9),
        Just(0x16),
        Just(0x17)
    ];
    let attribute = (
        prop_oneof![0u16..0x30, Just(0x8028u16), any::<u16>()],
        prop_oneof![Just(4usize), Just(8), Just(20), 0usize..40],
        vec(any::<u8>(), 40),
    );
    let stun = (method, vec(attribute, 0..6)).prop_map(|(kind, attributes)| {
        let attributes = attributes.into_iter();
        let attributes = attributes.map(|(kind, length, value)| (kind, value[..length].to_vec()));
        client::message(kind, &attributes.collect::<Vec<_>>())
    });
    let channel = (0x4000u16..=0x4fff, vec(any::<u8>(), 0..16)).prop_map(|(number, data)| {
        let length = (data.len() as u16).to_be_bytes();
        [&number.to_be_bytes()[..], &length, &data, &[0; 3]].concat()
    });
    prop_oneof![stun, channel, vec(any::<u8>(), 0..80)]
}
