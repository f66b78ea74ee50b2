//! Properties of the pure parts: round trips, and refusal of everything that is not the next
//! honest message.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use authloop_protocol::{
    device::DeviceKey,
    frame::{FRAME_BYTES, Frame, FrameOpener, FrameSealer, MAX_BODY_BYTES},
    id::{Blob, SessionId},
    input::InputEvent,
    invitation::{Fingerprint, Invitation, InvitationError, invitation_hash},
    link::{InvitationHash, LinkError, LinkFragment, LinkKeys, LinkSecret},
    seal::{
        Hello, HelloKeys, HostKeyPair, SealContext, SealError, SealedSignal, blob_kind, open_hello,
        seal_hello,
    },
    sequence::{AcceptedFrame, InputSequence},
    signal::{HostMessage, ServerMessage, ViewerMessage, is_ice_string},
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

struct Session {
    context: SealContext,
    host: HostKeyPair,
    device: SigningKey,
}

fn session(seed: u8) -> Session {
    let id = SessionId([seed; 16]);
    let keys = LinkKeys::derive(&LinkSecret::new([seed; 32]), "https://a.example", id);
    Session {
        context: SealContext::new(id, InvitationHash([seed; 32]), &keys),
        host: HostKeyPair::from_seed(&[seed; 32]),
        device: SigningKey::from_slice(&[seed.max(1); 32]).unwrap(),
    }
}

fn hello(session: &Session, signer: &SigningKey) -> (Vec<u8>, HelloKeys) {
    let fingerprint = Fingerprint::of_certificate(b"viewer");
    let device = session.device.verifying_key().to_sec1_point(false);
    let mut rng = StdRng::seed_from_u64(7);
    seal_hello(
        &session.context,
        session.host.public(),
        &mut rng,
        |message| {
            let signature: Signature = signer.sign(&message(&[3; 32], &fingerprint));
            Hello {
                fingerprint: fingerprint.clone(),
                device: Blob::from(device.as_bytes()),
                nonce: Blob::from([3; 32]),
                stream: Blob::from([4; 16]),
                signature: Blob(signature.to_vec()),
            }
        },
    )
    .unwrap()
}

#[test]
fn a_hello_opens_only_in_its_own_session() {
    let (a, b) = (session(1), session(2));
    let (blob, _) = hello(&a, &a.device);
    assert!(open_hello(&a.context, &a.host, &blob).is_ok());
    assert_eq!(
        open_hello(&b.context, &b.host, &blob).err(),
        Some(SealError::Refused)
    );
    // The same host key pair under another PSK, id or invitation is still another session.
    for context in [
        SealContext {
            psk: b.context.psk.clone(),
            ..a.context.clone()
        },
        SealContext {
            id: b.context.id,
            ..a.context.clone()
        },
        SealContext {
            invitation: b.context.invitation,
            ..a.context.clone()
        },
    ] {
        assert!(open_hello(&context, &a.host, &blob).is_err());
    }
}

#[test]
fn a_hello_signed_by_another_device_is_refused() {
    let a = session(1);
    let (blob, _) = hello(&a, &session(2).device);
    assert!(open_hello(&a.context, &a.host, &blob).is_err());
}

#[test]
fn every_flipped_bit_of_a_hello_is_refused() {
    let a = session(1);
    let (blob, _) = hello(&a, &a.device);
    for index in 0..blob.len() * 8 {
        let mut bad = blob.clone();
        bad[index / 8] ^= 1 << (index % 8);
        assert!(
            open_hello(&a.context, &a.host, &bad).is_err(),
            "bit {index} of the hello was not covered"
        );
    }
}

#[test]
fn records_are_opened_once_and_by_their_own_direction() {
    let a = session(1);
    let (blob, viewer) = hello(&a, &a.device);
    let (_, host) = open_hello(&a.context, &a.host, &blob).unwrap();
    let (mut host_seal, mut host_open) = host.host_records();
    let (_, mut viewer_open) = viewer.viewer_records();
    let record = host_seal
        .seal(&SealedSignal::Offer {
            sdp: "v=0".to_owned(),
        })
        .unwrap();
    assert_eq!(host_open.open(&record).err(), Some(SealError::Refused));
    assert!(viewer_open.open(&record).is_ok());
    assert_eq!(viewer_open.open(&record).err(), Some(SealError::Replayed));
    for index in 0..record.len() * 8 {
        let (_, mut fresh) = viewer.viewer_records();
        let mut bad = record.clone();
        bad[index / 8] ^= 1 << (index % 8);
        assert!(fresh.open(&bad).is_err(), "bit {index} was not covered");
    }
}

#[test]
fn invitations_are_held_to_their_bounds() {
    let good = Invitation {
        v: 1,
        id: SessionId([1; 16]),
        hpke: Blob::from([4; 65]),
        fingerprint: Fingerprint::of_certificate(b"x"),
        requester: "agent".to_owned(),
        reason: "why".to_owned(),
        origins: vec![],
        expires: 1,
        room: None,
    };
    let bytes = good.to_bytes().unwrap();
    assert_eq!(Invitation::parse(&bytes).unwrap(), good);
    assert_ne!(invitation_hash(&bytes), invitation_hash(&bytes[1..]));
    for (requester, reason, origin, part) in [
        ("", "why", "", "requester"),
        ("bank\u{202e}", "why", "", "requester"),
        ("agent", "why\n\n\n", "", "reason"),
        ("agent", "a\u{301}\u{301}\u{301}", "", "reason"),
        ("agent", "why", "https://a.example\u{2066}", "origins"),
    ] {
        let hostile = Invitation {
            requester: requester.to_owned(),
            reason: reason.to_owned(),
            origins: vec![origin.to_owned()],
            ..good.clone()
        };
        let expected = Some(InvitationError::NotPlain(part));
        assert_eq!(hostile.to_bytes().err(), expected);
        let bytes = serde_json::to_vec(&hostile).unwrap();
        assert_eq!(Invitation::parse(&bytes).err(), expected);
    }
    let long = Invitation {
        requester: "x".repeat(121),
        ..good
    };
    assert_eq!(
        long.to_bytes().err(),
        Some(InvitationError::TooLong("requester"))
    );
    let distant = String::from_utf8(bytes.clone())
        .unwrap()
        .replace("\"expires\":1", "\"expires\":9000000000000000");
    assert_eq!(
        Invitation::parse(distant.as_bytes()).err(),
        Some(InvitationError::Expires(9_000_000_000_000_000))
    );
    let newer = String::from_utf8(bytes)
        .unwrap()
        .replace("\"v\":1", "\"v\":2");
    assert_eq!(
        Invitation::parse(newer.as_bytes()).err(),
        Some(InvitationError::Version(2))
    );
    assert!(Invitation::parse(newer.replace("\"v\":2", "\"w\":1").as_bytes()).is_err());
}

#[test]
fn links_say_what_is_wrong_with_them() {
    let fragment = LinkFragment {
        id: SessionId([1; 16]),
        secret: LinkSecret::new([2; 32]),
        invitation: InvitationHash([3; 32]),
    };
    let text = fragment.encode();
    assert_eq!(text.len(), 108);
    assert!(LinkFragment::parse(&text).is_ok());
    assert_eq!(
        LinkFragment::parse(&text[..107]).err(),
        Some(LinkError::Malformed)
    );
    assert_eq!(LinkFragment::parse("").err(), Some(LinkError::Malformed));
    let newer = format!("Ag{}", &text[2..]);
    assert_eq!(
        LinkFragment::parse(&newer).err(),
        Some(LinkError::Version(2))
    );
    assert!(!format!("{fragment:?}").contains("2, 2"));
}

#[test]
fn ice_strings_cannot_carry_a_line() {
    assert!(is_ice_string("abcd", 4));
    for bad in ["abc", "abcd\r\na=x", "ab cd", "abcd:", "äbcd"] {
        assert!(!is_ice_string(bad, 4), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn frames_round_trip_at_one_size(
        bodies in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..=MAX_BODY_BYTES), any::<bool>(), any::<u32>()), 1..8),
    ) {
        let (mut sealer, mut opener) = (FrameSealer::new(&[1; 32]), FrameOpener::new(&[1; 32]));
        for (index, (body, more, epoch)) in bodies.into_iter().enumerate() {
            let frame = Frame::Input { sequence: index as u64 + 1, epoch, more, body: body.into() };
            let sealed = sealer.seal(&frame).unwrap();
            prop_assert_eq!(sealed.len(), FRAME_BYTES);
            prop_assert_eq!(opener.open(&sealed).unwrap(), frame);
            prop_assert_eq!(opener.open(&sealed).err(), Some(SealError::Replayed));
        }
    }

    #[test]
    fn a_changed_frame_is_refused(bit in 0..FRAME_BYTES * 8) {
        let mut sealer = FrameSealer::new(&[1; 32]);
        let mut sealed = sealer.seal(&Frame::Filler).unwrap();
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(FrameOpener::new(&[1; 32]).open(&sealed).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let a = session(1);
        prop_assert!(open_hello(&a.context, &a.host, &bytes).is_err());
        let _ = blob_kind(&bytes);
        let _ = DeviceKey::parse(&bytes);
        prop_assert!(FrameOpener::new(&[1; 32]).open(&bytes).is_err());
        let _ = serde_json::from_slice::<ServerMessage>(&bytes);
        let _ = serde_json::from_slice::<HostMessage>(&bytes);
        let _ = serde_json::from_slice::<ViewerMessage>(&bytes);
        let _ = Invitation::parse(&bytes);
    }

    /// Whatever prefix is re-sent after a lost connection, every event is applied once, in order.
    #[test]
    fn input_is_applied_exactly_once(
        texts in proptest::collection::vec("[a-z]{0,600}", 1..20),
        cuts in proptest::collection::vec((0usize..200, 0usize..200), 0..6),
    ) {
        let mut frames = Vec::new();
        for text in &texts {
            let json = serde_json::to_vec(&InputEvent::Text { text: text.clone() }).unwrap();
            let parts: Vec<&[u8]> = json.chunks(MAX_BODY_BYTES).collect();
            for (index, part) in parts.iter().enumerate() {
                frames.push((frames.len() as u64 + 1, index + 1 < parts.len(), part.to_vec()));
            }
        }
        let mut host = InputSequence::new([1; 16]);
        let mut applied = Vec::new();
        let mut feed = |host: &mut InputSequence, range: &[(u64, bool, Vec<u8>)]| {
            for (sequence, more, body) in range {
                if let Ok(AcceptedFrame::Message { event: Ok(InputEvent::Text { text }), .. }) =
                    host.accept(*sequence, 0, *more, body)
                {
                    applied.push(text);
                }
            }
        };
        for (start, length) in cuts {
            // A connection that re-sends from anywhere at or before what is due, then breaks.
            let start = start.min(usize::try_from(host.applied()).unwrap());
            let end = (start + length).min(frames.len());
            feed(&mut host, &frames[start.min(end)..end]);
            host.resume([1; 16]);
        }
        let due = usize::try_from(host.applied()).unwrap();
        feed(&mut host, &frames[due..]);
        prop_assert_eq!(applied, texts);
    }

    #[test]
    fn a_hole_in_the_sequence_changes_nothing(first in 1u64..50, skip in 1u64..50) {
        let mut host = InputSequence::new([1; 16]);
        for sequence in 1..=first {
            host.accept(sequence, 0, false, b"{}").unwrap();
        }
        let gap = host.accept(first + 1 + skip, 0, false, b"{}");
        prop_assert!(gap.is_err());
        prop_assert_eq!(host.applied(), first);
    }
}

#[test]
fn a_message_over_the_limit_is_spent_and_refused() {
    let mut host = InputSequence::new([1; 16]);
    let mut sequence = 0;
    loop {
        sequence += 1;
        match host
            .accept(sequence, 0, sequence < 300, &[b'x'; MAX_BODY_BYTES])
            .unwrap()
        {
            AcceptedFrame::Part => {}
            AcceptedFrame::Message { event, .. } => {
                assert!(event.is_err());
                break;
            }
            AcceptedFrame::Duplicate => panic!("not a duplicate"),
        }
    }
    assert_eq!(host.applied(), 300);
}

#[test]
fn a_new_page_starts_a_new_stream() {
    let mut host = InputSequence::new([1; 16]);
    host.accept(1, 0, false, b"{}").unwrap();
    host.resume([1; 16]);
    assert_eq!(host.applied(), 1);
    host.resume([2; 16]);
    assert_eq!(host.applied(), 0);
}
