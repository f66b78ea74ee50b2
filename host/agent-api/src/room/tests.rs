//! What an agent gets for what it asks.

use super::*;

const ANY: RoomPolicy = RoomPolicy {
    rooms: RoomsAllowed::Any,
    as_is: true,
};
const PRIVATE: RoomPolicy = RoomPolicy {
    rooms: RoomsAllowed::Private,
    as_is: true,
};
const IN_PLACE: RoomPolicy = RoomPolicy {
    rooms: RoomsAllowed::InPlace,
    as_is: true,
};

fn members(
    room: Option<RoomKind>,
    start: Option<RoomStart>,
    grants: Option<&[&str]>,
) -> RoomMembers {
    RoomMembers {
        room,
        start,
        grants: grants.map(|list| list.iter().map(|&grant| grant.to_owned()).collect()),
    }
}

fn private(start: RoomStart) -> RoomChoice {
    RoomChoice::Private {
        start,
        grants: Vec::new(),
        url: None,
    }
}

/// The refused member, and whether it is for the operator's sake.
fn refused(choice: Result<RoomChoice, ApiError>) -> (String, bool) {
    match choice {
        Err(ApiError::Invalid { field, .. }) => (field, false),
        Err(ApiError::RoomNotAllowed { field, .. }) => (field.to_owned(), true),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn without_a_word_of_it_the_wall_decides() {
    let cases = [
        (None, private(RoomStart::Fresh)),
        (Some("password"), private(RoomStart::Fresh)),
        (Some("passkey"), private(RoomStart::Fresh)),
        (Some("oauth_consent"), private(RoomStart::Fresh)),
        (Some("never heard of"), private(RoomStart::Fresh)),
        (Some("sms_otp"), private(RoomStart::AsIs)),
        (Some("OTP"), private(RoomStart::AsIs)),
        (Some("totp"), private(RoomStart::AsIs)),
        (Some("push-approval"), private(RoomStart::AsIs)),
        (Some("consent"), private(RoomStart::AsIs)),
        (Some("captcha"), RoomChoice::InPlace),
        (Some("behavioral_captcha"), RoomChoice::InPlace),
        (Some("Document Upload"), RoomChoice::InPlace),
    ];
    for (wall, wanted) in cases {
        let chosen = ANY.choose(RoomMembers::default(), wall, None).unwrap();
        assert_eq!(chosen, wanted, "{wall:?}");
    }
}

#[test]
fn what_is_asked_for_is_given_whatever_the_wall() {
    let url = Url::parse("https://bank.example/login?next=%2F").unwrap();
    let in_place = members(Some(RoomKind::InPlace), None, None);
    let fresh = members(Some(RoomKind::Private), Some(RoomStart::Fresh), None);
    let grants = members(
        None,
        None,
        Some(&["bank.example", "b.example", "bank.example"]),
    );

    let chosen = ANY.choose(in_place, Some("password"), Some(&url)).unwrap();
    assert_eq!(chosen, RoomChoice::InPlace);
    let chosen = ANY.choose(fresh, Some("sms_otp"), None).unwrap();
    assert_eq!(chosen, private(RoomStart::Fresh));
    let chosen = ANY.choose(grants, Some("captcha"), Some(&url)).unwrap();
    assert_eq!(
        chosen,
        RoomChoice::Private {
            start: RoomStart::Fresh,
            grants: vec!["bank.example".to_owned(), "b.example".to_owned()],
            url: Some(url.to_string()),
        }
    );
}

#[test]
fn the_operator_bends_what_was_not_asked_for() {
    let fresh_only = RoomPolicy {
        as_is: false,
        ..ANY
    };
    for (policy, wall, wanted) in [
        (PRIVATE, "captcha", private(RoomStart::Fresh)),
        (PRIVATE, "document_upload", private(RoomStart::Fresh)),
        (IN_PLACE, "password", RoomChoice::InPlace),
        (fresh_only, "sms_otp", private(RoomStart::Fresh)),
        (fresh_only, "captcha", RoomChoice::InPlace),
    ] {
        let chosen = policy.choose(RoomMembers::default(), Some(wall), None);
        assert_eq!(chosen.unwrap(), wanted, "{policy:?} {wall}");
    }
}

#[test]
fn the_operator_refuses_what_was_asked_for() {
    let fresh_only = RoomPolicy {
        as_is: false,
        ..ANY
    };
    let sites: Option<&[&str]> = Some(&["bank.example"]);
    for (policy, asked, field) in [
        (
            PRIVATE,
            members(Some(RoomKind::InPlace), None, None),
            "room",
        ),
        (
            IN_PLACE,
            members(Some(RoomKind::Private), None, None),
            "room",
        ),
        (
            IN_PLACE,
            members(None, Some(RoomStart::Fresh), None),
            "start",
        ),
        (IN_PLACE, members(None, None, sites), "grants"),
        (
            fresh_only,
            members(None, Some(RoomStart::AsIs), None),
            "start",
        ),
    ] {
        let found = refused(policy.choose(asked, None, None));
        assert_eq!(found, (field.to_owned(), true), "{policy:?}");
    }
}

#[test]
fn what_only_private_rooms_have_is_refused_in_place() {
    let sites: Option<&[&str]> = Some(&["bank.example"]);
    for policy in [ANY, PRIVATE, IN_PLACE] {
        for (start, grants, field) in [
            (Some(RoomStart::Fresh), None, "start"),
            (Some(RoomStart::AsIs), sites, "start"),
            (None, sites, "grants"),
        ] {
            let asked = members(Some(RoomKind::InPlace), start, grants);
            let found = refused(policy.choose(asked, None, None));
            assert_eq!(found, (field.to_owned(), false));
        }
    }
}

#[test]
fn a_grant_is_a_bare_host() {
    for good in [
        "bank.example",
        "a-b.co.uk",
        "xn--bcher-kva.example",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[2001:db8::1]",
    ] {
        let chosen = ANY.choose(members(None, None, Some(&[good])), None, None);
        assert!(chosen.is_ok(), "{good}");
    }
    let long = format!("{}.example", "a.".repeat(130));
    let label = format!("{}.example", "a".repeat(64));
    for bad in [
        "",
        ".",
        "Bank.example",
        "bücher.example",
        "https://bank.example",
        "bank.example/",
        "bank.example:443",
        "*.bank.example",
        "bank_1.example",
        "bank.example.",
        ".bank.example",
        "bank..example",
        "-bank.example",
        "bank-.example",
        "bank .example",
        "bank%2eexample",
        "127.1",
        "0x7f000001",
        "::1",
        "[0:0::1]",
        "[::1",
        long.as_str(),
        label.as_str(),
    ] {
        let asked = members(None, None, Some(&["a.example", bad]));
        let found = refused(ANY.choose(asked, None, None));
        assert_eq!(found, ("grants[1]".to_owned(), false), "{bad}");
    }
}

#[test]
fn from_one_to_eight_sites_are_granted() {
    for list in [&[][..], &["a.example"; 9][..]] {
        let found = refused(ANY.choose(members(None, None, Some(list)), None, None));
        assert_eq!(found, ("grants".to_owned(), false));
    }
}
