use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use super::{cookie::SameSite, *};
use crate::{Grant, Site, TypedSecrets};

fn cookie(domain: &str, secure: bool) -> Cookie {
    Cookie {
        name: "sid".to_owned(),
        value: "hunter2".to_owned().into(),
        domain: domain.to_owned(),
        path: "/".to_owned(),
        expires: -1.0,
        http_only: true,
        secure,
        same_site: Some(SameSite::Lax),
        partition: None,
    }
}

fn item(name: &str, value: &str) -> Item {
    Item {
        name: name.to_owned(),
        value: value.to_owned().into(),
    }
}

fn storage(origin: &str, local: Vec<Item>, databases: &str) -> OriginStorage {
    OriginStorage {
        origin: origin.to_owned(),
        local,
        session: Vec::new(),
        databases: databases.to_owned().into(),
    }
}

fn grant(site: &str) -> Grant {
    Grant::new(vec![Site::parse(site).unwrap()]).unwrap()
}

fn json_of(bundle: &Bundle) -> Value {
    serde_json::from_str(bundle.to_json().expose_secret()).unwrap()
}

#[test]
fn cookies_are_matched_by_host_and_scheme() {
    let site = Url::parse("https://login.a.example").unwrap();
    let plain = Url::parse("http://a.example").unwrap();

    assert!(cookie(".a.example", true).belongs_to(&site));
    assert!(cookie("login.a.example", true).belongs_to(&site));
    assert!(!cookie("a.example", true).belongs_to(&site));
    assert!(!cookie(".evila.example", true).belongs_to(&site));
    assert!(!cookie("evil-a.example", false).belongs_to(&plain));
    assert!(!cookie(".a.example", true).belongs_to(&plain));
}

#[test]
fn the_format_is_playwrights_and_debug_shows_no_value() {
    let partitioned = Cookie {
        partition: Some(PartitionKey {
            top_level_site: "https://top.example".to_owned(),
            has_cross_site_ancestor: true,
        }),
        ..cookie("a.example", true)
    };
    let databases = r#"[{"name":"d"}]"#;
    let bundle = Bundle {
        cookies: vec![cookie("a.example", true), partitioned],
        origins: vec![
            storage("https://a.example", vec![item("k", "v")], databases),
            storage("https://empty.example", Vec::new(), NO_DATABASES),
        ],
    };

    let plain = json!({
        "name": "sid", "value": "hunter2", "domain": "a.example", "path": "/",
        "expires": -1.0, "httpOnly": true, "secure": true, "sameSite": "Lax",
    });
    let mut partitioned = plain.clone();
    partitioned["partitionKey"] = "https://top.example".into();
    partitioned["_crHasCrossSiteAncestor"] = true.into();
    assert_eq!(
        json_of(&bundle),
        json!({
            "cookies": [plain, partitioned],
            "origins": [{
                "origin": "https://a.example",
                "localStorage": [{ "name": "k", "value": "v" }],
                "indexedDB": [{ "name": "d" }],
            }],
        })
    );
    assert!(!format!("{bundle:?} {:?}", bundle.cookies).contains("hunter2"));
}

#[test]
fn a_cookie_is_set_as_it_was() {
    let host_only = Cookie {
        same_site: None,
        ..cookie("a.example", true)
    };
    assert_eq!(
        host_only.to_cdp(),
        json!({
            "name": "sid", "value": "hunter2", "path": "/", "httpOnly": true, "secure": true,
            "url": "https://a.example/",
        })
    );
    let of_domain = Cookie {
        expires: 2e9,
        ..cookie(".a.example", false)
    };
    let param = of_domain.to_cdp();
    assert_eq!(
        (&param["domain"], &param["expires"]),
        (&json!(".a.example"), &json!(2e9))
    );
    assert_eq!(
        (&param["sameSite"], &param["url"]),
        (&json!("Lax"), &Value::Null)
    );
}

#[test]
fn what_is_not_of_a_granted_site_stays() {
    let elsewhere = Cookie {
        partition: Some(PartitionKey {
            top_level_site: "https://other.example".to_owned(),
            has_cross_site_ancestor: false,
        }),
        ..cookie("app.bank.example", true)
    };
    let mut bundle = Bundle {
        cookies: vec![
            cookie(".bank.example", true),
            cookie("app.bank.example", true),
            cookie("evilbank.example", true),
            cookie(".example", true),
            elsewhere,
        ],
        origins: vec![
            storage("https://app.bank.example", vec![item("k", "v")], "[]"),
            storage("https://idp.example", vec![item("k", "v")], "[]"),
        ],
    };

    bundle.keep_granted(&grant("bank.example"));

    let domains: Vec<&str> = bundle.cookies.iter().map(|c| c.domain.as_str()).collect();
    assert_eq!(domains, [".bank.example", "app.bank.example"]);
    assert_eq!(bundle.origins.len(), 1);
}

#[test]
fn a_record_stays_behind_and_its_database_goes() {
    let databases = json!([{
        "name": "d", "version": 1,
        "stores": [{ "name": "s", "autoIncrement": false, "indexes": [], "records": [
            { "key": 1, "value": { "token": "abc" } },
            { "key": 2, "value": { "note": "my correct horse" } },
            { "key": 3, "value": { "deep": [{ "pin": 9274 }] } },
        ] }],
    }]);
    let mut bundle = Bundle {
        cookies: vec![cookie("a.example", true)],
        origins: vec![storage(
            "https://a.example",
            vec![item("remember", "correct horse"), item("theme", "dark")],
            &databases.to_string(),
        )],
    };
    let mut typed = TypedSecrets::default();
    typed.note("correct horse");
    typed.note("9274");

    assert_eq!(bundle.leave_typed_behind(&typed, &Bundle::default()), 3);
    let kept = json_of(&bundle);
    let records = &kept["origins"][0]["indexedDB"][0]["stores"][0]["records"];
    assert_eq!(records, &json!([{ "key": 1, "value": { "token": "abc" } }]));
    assert_eq!(
        kept["origins"][0]["localStorage"],
        json!([{ "name": "theme", "value": "dark" }])
    );
    assert_eq!(bundle.cookie_count(), 1);
}

#[test]
fn a_guess_that_came_along_is_no_question() {
    let guesses = || {
        vec![
            item("0000", "x"),
            item("guess", "9274"),
            item("other", "1111"),
        ]
    };
    let databases = json!([{ "name": "d", "version": 1, "stores": [
        { "name": "s", "autoIncrement": false, "indexes": [], "records": [{ "key": 1, "value": "9274" }] },
    ] }])
    .to_string();
    let state = || Bundle {
        cookies: vec![Cookie {
            value: "9274".to_owned().into(),
            ..cookie("a.example", true)
        }],
        origins: vec![storage("https://a.example", guesses(), &databases)],
    };
    let (came_along, mut bundle) = (state(), state());
    let before = json_of(&bundle);
    bundle.origins[0].local.push(item("remembered", "9274"));
    let mut typed = TypedSecrets::default();
    typed.note("9274");

    assert_eq!(bundle.leave_typed_behind(&typed, &came_along), 1);
    assert_eq!(json_of(&bundle), before);
}

proptest! {
    /// Nothing typed leaves, wherever a site puts it, and all else does.
    #[test]
    fn nothing_typed_leaves(
        secret in "[A-Za-z0-9]{12}",
        before in "[ -~]{0,20}",
        after in "[ -~]{0,20}",
        place in 0..4usize,
    ) {
        prop_assume!(!before.contains(&secret) && !after.contains(&secret));
        let holding = format!("{before}{secret}{after}");
        let database = |text: &str| json!([{ "name": "d", "version": 1, "stores": [
            { "name": "s", "autoIncrement": true, "indexes": [], "records": [{ "key": 1, "value": text }] },
        ] }]).to_string();
        let mut bundle = Bundle {
            cookies: vec![cookie("a.example", true)],
            origins: vec![storage("https://a.example", vec![item("theme", "dark")], "[]")],
        };
        let origin = &mut bundle.origins[0];
        match place {
            0 => bundle.cookies.push(Cookie { value: holding.into(), ..cookie("a.example", true) }),
            1 => origin.local.push(item(&holding, "x")),
            2 => origin.session.push(item("x", &holding)),
            _ => origin.databases = database(&holding).into(),
        }
        let mut typed = TypedSecrets::default();
        typed.note(&secret);

        prop_assert_eq!(bundle.leave_typed_behind(&typed, &Bundle::default()), 1);
        let json = bundle.to_json();
        prop_assert!(!json.expose_secret().contains(&secret));
        prop_assert_eq!(bundle.cookie_count(), 1);
        prop_assert_eq!(bundle.origins[0].local.len(), 1);
    }
}
