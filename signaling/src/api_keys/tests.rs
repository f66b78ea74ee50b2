//! Lines, scopes, expiry, rotation and rates.

use axum::http::{HeaderValue, header::AUTHORIZATION};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;
const KEY: &str = "a-key-of-16-chars";

fn request(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

fn with(key: &str) -> HeaderMap {
    request(&format!("Bearer {key}"))
}

fn caller(name: &str) -> Caller {
    Caller {
        name: Some(Arc::from(name)),
    }
}

fn may(keys: &ApiKeys, key: &str, scope: Scope) -> bool {
    keys.authorize(&with(key), scope, NOW).is_ok()
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_key() {
    let keys = ApiKeys::parse(&format!("{}{KEY}\n", '\u{feff}')).unwrap();
    assert!(may(&keys, KEY, Scope::CreateSessions));
}

#[test]
fn plain_and_hashed_keys_alone_on_a_line_register_sessions() {
    let hashed = hex::encode(SecretHash::of(b"another-key-of-mine").as_bytes());
    let keys = ApiKeys::parse(&format!("# ours\n\n{KEY}\nsha256:{hashed}\n{KEY}")).unwrap();
    assert_eq!(keys.count(), 2);
    for key in [KEY, "another-key-of-mine"] {
        assert!(may(&keys, key, Scope::CreateSessions));
        for other in [Scope::EndSessions, Scope::ReadMetrics, Scope::ReadAudit] {
            assert!(!may(&keys, key, other), "{other}");
        }
    }
    let lower = request(&format!("bearer {KEY}"));
    assert!(keys.authorize(&lower, Scope::CreateSessions, NOW).is_ok());
    for (wrong, denied) in [
        (request("Bearer a-key-of-16-charz"), KeyRefusal::Unknown),
        (request(&format!("Basic {KEY}")), KeyRefusal::Missing),
        (request("Bearer"), KeyRefusal::Missing),
        (request(""), KeyRefusal::Missing),
        (HeaderMap::new(), KeyRefusal::Missing),
    ] {
        assert_eq!(
            keys.authorize(&wrong, Scope::CreateSessions, NOW),
            Err(denied)
        );
    }
}

#[test]
fn a_name_and_scopes_say_who_may_do_what() {
    let text = format!("ops sessions:end+metrics:read {KEY}\nci sessions:create the-key-of-the-ci");
    let keys = ApiKeys::parse(&text).unwrap();
    let ended = keys.authorize(&with(KEY), Scope::EndSessions, NOW);
    assert_eq!(ended, Ok(caller("ops")));
    assert!(may(&keys, KEY, Scope::ReadMetrics));
    assert_eq!(
        keys.authorize(&with(KEY), Scope::CreateSessions, NOW),
        Err(KeyRefusal::Scope(caller("ops"), Scope::CreateSessions))
    );
    assert!(may(&keys, "the-key-of-the-ci", Scope::CreateSessions));
    assert!(keys.mentions(Scope::ReadMetrics) && !keys.mentions(Scope::ReadAudit));
}

#[test]
fn a_key_ends_at_its_time_and_keeps_guarding() {
    let text = format!("old metrics:read {KEY} expires=2027-01-15T08:00:00Z");
    let keys = ApiKeys::parse(&text).unwrap();
    let expires = 1_800_000_000;
    let at = |now| keys.authorize(&with(KEY), Scope::ReadMetrics, now);
    assert!(at(expires - 1).is_ok());
    assert_eq!(at(expires), Err(KeyRefusal::Expired(caller("old"))));
    assert!(keys.mentions(Scope::ReadMetrics));
    assert_eq!((keys.expired(expires - 1), keys.expired(expires)), (0, 1));
    assert!(keys.warnings(expires)[0].contains("old expired at 2027-01-15T08:00:00Z"));
    assert!(keys.warnings(0).is_empty());
}

#[test]
fn two_keys_of_one_name_hold_at_once_until_the_old_line_goes() {
    let new = "the-next-key-of-it";
    let keys = ApiKeys::parse(&format!("ci sessions:create {KEY}")).unwrap();
    let shared = keys.clone();

    let both = format!("ci sessions:create {KEY}\nci sessions:create {new}");
    assert_eq!(keys.replace(&both), Ok(true));
    assert!(may(&shared, KEY, Scope::CreateSessions) && may(&shared, new, Scope::CreateSessions));
    assert_eq!(keys.replace(&both), Ok(false));

    assert_eq!(keys.replace(&format!("ci sessions:create {new}")), Ok(true));
    assert!(!may(&shared, KEY, Scope::CreateSessions) && may(&shared, new, Scope::CreateSessions));
}

#[test]
fn broken_text_replaces_nothing() {
    let keys = ApiKeys::parse(KEY).unwrap();
    for broken in [
        "",
        "# none",
        "short",
        "ci nothing:known another-key-of-mine",
    ] {
        assert!(keys.replace(broken).is_err(), "{broken}");
        assert!(may(&keys, KEY, Scope::CreateSessions));
    }
}

#[test]
fn the_keys_of_one_name_share_a_rate_that_a_reload_does_not_refill() {
    let line = |key| format!("ci sessions:create {key} rate=2\n");
    let (second, other) = ("another-key-of-ci", "someone-elses-key");
    let text = format!("{}{}{other}", line(KEY), line(second));
    let keys = ApiKeys::parse(&text).unwrap();
    assert!(may(&keys, KEY, Scope::CreateSessions) && may(&keys, second, Scope::CreateSessions));
    let Err(KeyRefusal::Rate(who, wait)) = keys.authorize(&with(KEY), Scope::CreateSessions, NOW)
    else {
        panic!("no limit");
    };
    assert_eq!(who, caller("ci"));
    assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30));
    assert!(may(&keys, other, Scope::CreateSessions));

    keys.replace(&line(second)).unwrap();
    assert!(!may(&keys, second, Scope::CreateSessions));
    keys.replace(&format!("ci sessions:create {second} rate=3"))
        .unwrap();
    assert!(may(&keys, second, Scope::CreateSessions));
}

#[test]
fn names_the_bad_line_but_not_the_key() {
    let secret = "hunter2-hunter2-hunter2";
    for bad in [
        "short".to_owned(),
        "sha256:12".to_owned(),
        format!("ci {secret}"),
        format!("ci sessions:create,sessions:end {secret}"),
        format!("ci sessions:create sha256:{secret}"),
        format!("two/parts sessions:create {secret}"),
        format!("ci sessions:create {secret} expires=tomorrow"),
        format!("ci sessions:create {secret} expires=1960-01-01T00:00:00Z"),
        format!("ci sessions:create {secret} rate=0"),
        format!("ci sessions:create {secret} rate=1 rate=2"),
        format!("ci sessions:create {secret} {secret}"),
        format!("ci sessions:create {KEY}"),
        format!("{} sessions:create {secret}", "n".repeat(65)),
    ] {
        let error = ApiKeys::parse(&format!("{KEY}\n{bad}")).unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.starts_with("line 2: "), "{bad}: {sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
    assert_eq!(ApiKeys::parse("# none\n").unwrap_err(), ApiKeyError::Empty);
}

#[test]
fn shows_no_key() {
    let keys = ApiKeys::parse(KEY).unwrap();
    assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
}

#[test]
fn a_fresh_key_works_by_its_line() {
    let new = NewKey {
        name: "ci".to_owned(),
        scopes: vec![Scope::EndSessions, Scope::CreateSessions],
        expires: Some("2030-01-01T00:00:00Z".to_owned()),
        rate: NonZeroU32::new(60),
    };
    let (key, line) = new.make().unwrap();
    assert!(key.starts_with("al_") && key.len() == 3 + 43);
    assert!(!line.contains(key.as_str()));
    let keys = ApiKeys::parse(&line).unwrap();
    assert_eq!(
        keys.authorize(&with(&key), Scope::EndSessions, NOW),
        Ok(caller("ci"))
    );
    assert_ne!(new.make().unwrap().0, key);
    for name in ["", "two words", "a\nb", "#ci"] {
        let name = name.to_owned();
        assert!(
            NewKey {
                name,
                ..new.clone()
            }
            .make()
            .is_err()
        );
    }
}

proptest! {
    #[test]
    fn never_panics(text in ".*") {
        let _ = ApiKeys::parse(&text);
    }

    #[test]
    fn a_line_that_is_read_lets_only_its_own_key_in(
        name in "[a-z0-9._-]{1,64}",
        key in "[!-~]{16,40}",
        other in "[!-~]{16,40}",
    ) {
        prop_assume!(key != other && !key.starts_with("sha256:"));
        let keys = ApiKeys::parse(&format!("{name} sessions:create {key}")).unwrap();
        prop_assert!(may(&keys, &key, Scope::CreateSessions));
        prop_assert!(!may(&keys, &other, Scope::CreateSessions));
    }
}
