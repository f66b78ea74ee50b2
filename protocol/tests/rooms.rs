//! Private rooms on the wire: what an invitation promises, and what the two ends say of a room.

use std::net::{Ipv4Addr, Ipv6Addr};

use authloop_protocol::{
    id::{Blob, SessionId},
    input::InputEvent,
    invitation::{Fingerprint, Invitation, InvitationError, MAX_SITES, PrivateRoom, RoomStart},
    output::OutputMessage,
};
use proptest::prelude::*;

fn invitation(room: Option<PrivateRoom>) -> Invitation {
    Invitation {
        v: 1,
        id: SessionId([1; 16]),
        hpke: Blob::from([4; 65]),
        fingerprint: Fingerprint::of_certificate(b"x"),
        requester: "agent".to_owned(),
        reason: "why".to_owned(),
        origins: vec![],
        expires: 1,
        room,
    }
}

fn private(sites: &[&str]) -> Invitation {
    invitation(Some(PrivateRoom {
        start: RoomStart::Fresh,
        sites: sites.iter().map(|&site| site.to_owned()).collect(),
    }))
}

#[test]
fn an_invitation_in_place_is_as_before_rooms() {
    let bytes = invitation(None).to_bytes().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        !text.contains("room"),
        "an older viewer refuses what it does not know"
    );
    // One form only: what is there is a room.
    let null = text.replace(r#""expires":1"#, r#""expires":1,"room":null"#);
    assert_eq!(
        Invitation::parse(null.as_bytes()).err(),
        Some(InvitationError::Malformed)
    );
}

#[test]
fn a_private_room_names_its_sites() {
    let longest = format!("{}.example", "a".repeat(245));
    let good = private(&["bank.example", "[2001:db8::1]", "localhost", &longest]);
    let bytes = good.to_bytes().unwrap();
    assert_eq!(Invitation::parse(&bytes).unwrap(), good);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with(&format!(
        r#""room":{{"start":"fresh","sites":["bank.example","[2001:db8::1]","localhost","{longest}"]}}}}"#
    )));
    for start in ["as-is", "warm"] {
        let other = text.replace("fresh", start);
        assert!(Invitation::parse(other.as_bytes()).is_err(), "{start}");
    }
    assert!(Invitation::parse(text.replace("fresh", "as_is").as_bytes()).is_ok());
    let more = text.replace(r#""start""#, r#""kind":"x","start""#);
    assert!(Invitation::parse(more.as_bytes()).is_err());
}

#[test]
fn what_is_not_a_site_is_refused_by_both_ends() {
    for bad in [
        "",
        ".",
        "bank.example.",
        ".bank.example",
        "bank..example",
        "Bank.example",
        "bänk.example",
        "https://bank.example",
        "bank.example/",
        "bank.example:443",
        "bank example",
        "bank.example\u{202e}",
        "::1",
        "[::1",
        "[]",
        "[::1]:80",
        "[2001:DB8::1]",
        "[bank.example]",
        &"a".repeat(254),
    ] {
        let refused = InvitationError::Site(bad.to_owned());
        let invitation = private(&["bank.example", bad]);
        assert_eq!(
            invitation.to_bytes().err(),
            Some(refused.clone()),
            "{bad:?}"
        );
        let json = serde_json::to_vec(&invitation).unwrap();
        assert_eq!(Invitation::parse(&json).err(), Some(refused), "{bad:?}");
    }
    for count in [0, MAX_SITES + 1] {
        let invitation = private(&vec!["bank.example"; count]);
        assert_eq!(
            invitation.to_bytes().err(),
            Some(InvitationError::SiteCount(count))
        );
    }
    assert!(private(&["bank.example"; MAX_SITES]).to_bytes().is_ok());
}

#[test]
fn what_the_user_says_of_the_room_acts_on_the_page_and_is_not_typed() {
    for (event, json) in [
        (InputEvent::StartOver, r#"{"t":"start_over"}"#),
        (InputEvent::InPlace, r#"{"t":"in_place"}"#),
    ] {
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::from_str::<InputEvent>(json).unwrap(), event);
        assert!(event.acts_on_page() && !event.is_typed(), "{json}");
        assert_eq!(event.check(), Ok(()));
    }
}

proptest! {
    #[test]
    fn an_invitation_within_bounds_round_trips(
        as_is in any::<bool>(),
        sites in proptest::collection::vec(
            prop_oneof![
                r"[a-z0-9][a-z0-9-]{0,30}(\.[a-z0-9-]{1,20}){0,4}",
                any::<Ipv6Addr>().prop_map(|address| format!("[{address}]")),
                any::<Ipv4Addr>().prop_map(|address| address.to_string()),
            ],
            1..=MAX_SITES,
        ),
    ) {
        let start = if as_is { RoomStart::AsIs } else { RoomStart::Fresh };
        let good = invitation(Some(PrivateRoom { start, sites }));
        prop_assert_eq!(Invitation::parse(&good.to_bytes().unwrap()).unwrap(), good);
    }

    /// Nothing that could pass for words or for another name gets as far as a screen.
    #[test]
    fn a_site_of_any_text_is_a_host_or_refused(
        site in prop_oneof![any::<String>(), r"[a-zA-Z0-9.:\[\]/ _é-]{0,12}"],
    ) {
        if let Ok(bytes) = private(&[&site]).to_bytes() {
            let shown = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b".:[]-_".contains(&byte);
            prop_assert!((1..=253).contains(&site.len()) && site.bytes().all(shown));
            prop_assert!(!site.contains([':', '[', ']']) || site.starts_with('['));
            prop_assert!(Invitation::parse(&bytes).is_ok());
        }
    }

    #[test]
    fn what_the_host_says_of_the_room_round_trips(in_place in any::<bool>(), message in ".{0,80}") {
        for output in [
            OutputMessage::Moving {},
            OutputMessage::NotMoved { in_place, message },
            OutputMessage::InPlace {},
        ] {
            let json = serde_json::to_vec(&output).unwrap();
            prop_assert_eq!(serde_json::from_slice::<OutputMessage>(&json).unwrap(), output);
        }
    }
}
