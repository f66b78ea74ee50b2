//! What was typed is found in whatever a site makes of it, and not where it is not.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use authloop_rooms::{MAX_TEXT_BYTES, MAX_VALUE_BYTES, MAX_VALUES, TypedSecrets};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use proptest::{collection::vec, prelude::*, sample::select};

const PASSWORD: &str = "Correct+horse \"Bä\\ttery\" <9&%>";

fn typed(values: &[&str]) -> TypedSecrets {
    let mut typed = TypedSecrets::new();
    values.iter().for_each(|value| typed.note(value));
    typed
}

/// An encoding as a site may apply it, to the value with what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Base64,
    Base64Url,
    Base64Lines,
    Hex,
    HexUpper,
    Utf16Le,
    Utf16Be,
    Percent,
    PercentAll,
    PercentLower,
    Form,
    Json,
    JsonAscii,
    JsHex,
    Html,
    HtmlNumeric,
}

const ALL: [Encoding; 16] = {
    use Encoding::*;
    [
        Base64,
        Base64Url,
        Base64Lines,
        Hex,
        HexUpper,
        Utf16Le,
        Utf16Be,
        Percent,
        PercentAll,
        PercentLower,
        Form,
        Json,
        JsonAscii,
        JsHex,
        Html,
        HtmlNumeric,
    ]
};

impl Encoding {
    /// Some take text only; of bytes, they are taken as if they were base64.
    fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(bytes);
        let each = |write: fn(&mut String, u8)| {
            bytes.iter().fold(String::new(), |mut out, b| {
                write(&mut out, *b);
                out
            })
        };
        let out = match (self, text) {
            (Self::Hex, _) => hex::encode(bytes),
            (Self::HexUpper, _) => hex::encode_upper(bytes),
            (Self::Base64Url, _) => URL_SAFE_NO_PAD.encode(bytes),
            (Self::Base64Lines, _) => {
                let all = STANDARD.encode(bytes);
                let lines: Vec<&str> = all
                    .as_bytes()
                    .chunks(76)
                    .map(|l| std::str::from_utf8(l).unwrap_or(""))
                    .collect();
                lines.join("\r\n")
            }
            (Self::Percent, _) => each(|out, b| match b {
                b if b.is_ascii_alphanumeric() => out.push(char::from(b)),
                b => _ = write!(out, "%{b:02X}"),
            }),
            (Self::PercentLower, _) => each(|out, b| match b {
                b if b.is_ascii_alphanumeric() => out.push(char::from(b)),
                b => _ = write!(out, "%{b:02x}"),
            }),
            (Self::Form, _) => each(|out, b| match b {
                b if b.is_ascii_alphanumeric() => out.push(char::from(b)),
                b' ' => out.push('+'),
                b => _ = write!(out, "%{b:02X}"),
            }),
            (Self::PercentAll, _) => each(|out, b| _ = write!(out, "%{b:02X}")),
            (Self::Utf16Le, Ok(text)) => {
                return text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            }
            (Self::Utf16Be, Ok(text)) => {
                return text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            }
            (Self::Json, Ok(text)) => serde_json::json!({ "user": "a", "value": text }).to_string(),
            (Self::JsonAscii, Ok(text)) => {
                text.encode_utf16().fold(String::new(), |mut out, unit| {
                    _ = write!(out, "\\u{unit:04x}");
                    out
                })
            }
            (Self::JsHex, Ok(text)) => text.chars().fold(String::new(), |mut out, c| {
                _ = match u8::try_from(c) {
                    Ok(b) => write!(out, "\\x{b:02x}"),
                    Err(_) => write!(out, "\\u{{{:x}}}", u32::from(c)),
                };
                out
            }),
            (Self::Html, Ok(text)) => text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;")
                .replace('ä', "&auml;"),
            (Self::HtmlNumeric, Ok(text)) => text.chars().fold(String::new(), |mut out, c| {
                _ = write!(out, "&#x{:x};", u32::from(c));
                out
            }),
            (Self::Base64, _) | (_, Err(_)) => STANDARD_NO_PAD.encode(bytes),
        };
        out.into_bytes()
    }
}

fn layers() -> impl Strategy<Value = Vec<(Encoding, String, String)>> {
    // What is around the value may itself look like an encoding, as an honest encoder encodes that, too.
    vec((select(ALL.to_vec()), "[ -~é]{0,9}", "[ -~é]{0,9}"), 0..=3)
}

fn encoded(value: &str, layers: &[(Encoding, String, String)]) -> Vec<u8> {
    layers.iter().fold(
        value.as_bytes().to_vec(),
        |inner, (encoding, before, after)| {
            encoding.apply(&[before.as_bytes(), &inner, after.as_bytes()].concat())
        },
    )
}

fn around() -> impl Strategy<Value = String> {
    // Nothing that would be one encoding with the planted text.
    "[A-Za-z0-9+/=_.:;,{}\"\\[\\] \n-]{0,80}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_found_under_every_three_encodings(
        value in "[ -~ä€😀]{6,24}", reversed: bool, layers in layers(), before in around(), after in around(),
    ) {
        prop_assume!(value.trim().chars().count() >= 6);
        let typed = typed(&[&value]);
        let reversed: Option<String> = reversed.then(|| value.chars().rev().collect());
        let text = [before.as_bytes(), &encoded(reversed.as_deref().unwrap_or(&value), &layers), after.as_bytes()].concat();
        prop_assert!(typed.found_in_bytes(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn a_short_value_is_found_as_a_word_under_every_three_encodings(
        value in "[A-Za-z0-9]{3,5}", layers in layers(), apart in select(vec!["", " ", "\"", ":", "&", "=", "\n"]),
    ) {
        let typed = typed(&[&value]);
        let layers: Vec<_> = layers.into_iter().map(|(e, ..)| (e, apart.to_owned(), apart.to_owned())).collect();
        let text = encoded(&value, &layers);
        // What stands around UTF-16 would be in UTF-16, too.
        let is_utf16 = |(e, ..): &(Encoding, _, _)| matches!(e, Encoding::Utf16Le | Encoding::Utf16Be);
        prop_assume!(layers.iter().rev().skip(1).all(|layer| !is_utf16(layer)));
        let text = if layers.last().is_some_and(is_utf16) { text } else { [b"a ", &*text, b" b"].concat() };
        prop_assert!(typed.found_in_bytes(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn random_text_holds_no_value_of_eight_random_characters(
        value in "[!-~]{8,24}", bytes in vec(any::<u8>(), 0..600), layers in layers(), text in "\\PC{0,200}",
    ) {
        let typed = typed(&[&value]);
        prop_assert!(!typed.found_in_bytes(&bytes));
        prop_assert!(!typed.found_in(&text));
        let all = encoded(&text, &layers);
        prop_assert!(!typed.found_in_bytes(&all), "{}", String::from_utf8_lossy(&all));
        prop_assert!(!typed.found_in(&URL_SAFE.encode(&bytes)));
        prop_assert!(!typed.found_in(&hex::encode(&bytes)));
    }

    #[test]
    fn any_bytes_are_searched_without_panic(
        values in vec("\\PC{0,12}", 0..6), bytes in vec(any::<u8>(), 0..300), text in "[%&#x;u\\\\{}+0-9a-fA-F]{0,60}",
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let typed = typed(&values);
        let _ = typed.found_in_bytes(&bytes);
        let _ = typed.found_in(&text);
    }
}

#[test]
fn what_sites_keep_is_found() {
    let typed = typed(&[PASSWORD]);
    let json = serde_json::json!({ "user": "ann", "password": PASSWORD }).to_string();
    let latin1: Vec<u8> = json.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let escape = "Correct+horse%20%22B%E4%5Cttery%22%20%3C9%26%25%3E";
    for text in [
        json.clone(),
        serde_json::json!({ "persist": json }).to_string(),
        STANDARD.encode(&json),
        // `btoa(JSON.stringify(form))`
        STANDARD.encode(&latin1),
        format!(
            "remember={}; path=/",
            URL_SAFE.encode(&json).replace('=', "%3D")
        ),
        format!("v1.{}.sig", URL_SAFE_NO_PAD.encode(&json)),
        // `escape(password)`
        escape.to_owned(),
        "https://bank.example/login?p=Correct%2Bhorse+%22B%C3%A4%5Cttery%22+%3C9%26%25%3E&x=1"
            .to_owned(),
        "correct+HORSE \"bä\\TTERY\" <9&%>".to_owned(),
        "<input value=\"Correct+horse &quot;B&auml;\\ttery&quot; &lt;9&amp;%&gt;\">".to_owned(),
        "<input value='Correct&plus;horse &#34;B&#xE4;&bsol;ttery&quot; &lt;9&amp;&percnt;&gt;'>"
            .to_owned(),
        "Correct%u002Bhorse%u0020%u0022B%u00e4%u005cttery%u0022 %3C9%u0026%25%3E".to_owned(),
    ] {
        assert!(typed.found_in(&text), "{text}");
    }
    for text in [
        "",
        "Correct",
        "Correct+horse \"Bä\\ttery\" <9&%",
        "{\"password\":null}",
    ] {
        assert!(!typed.found_in(text), "{text}");
    }
}

#[test]
fn a_value_of_several_lines_of_base64_is_found() {
    let value = "0123456789 abcdefghij".repeat(20);
    let text = Encoding::Base64Lines.apply(format!("{{\"key\":\"{value}\"}}").as_bytes());
    assert!(typed(&[&value]).found_in_bytes(&text));
    assert!(
        typed(&[&value]).found_in(&serde_json::json!(String::from_utf8_lossy(&text)).to_string())
    );
}

#[test]
fn a_short_value_counts_only_as_a_word() {
    let typed = typed(&["4711", "é1x", "12"]);
    for text in [
        "4711",
        "pin=4711&x",
        "{\"pin\":4711}",
        "a;4711",
        "NDcxMQ==",
        "34373131",
        "%34711",
        "\u{a0}4711…",
        "é1x",
    ] {
        assert!(typed.found_in(text), "{text}");
    }
    for text in [
        "14711", "4711a", "ä4711", "2047119", "12", "pin=12", "éé1x", "1174",
    ] {
        assert!(!typed.found_in(text), "{text}");
    }
}

#[test]
fn case_matters_for_short_values_alone() {
    assert!(typed(&["Passphrase"]).found_in("pASSPHRASE"));
    assert!(!typed(&["Passwort"]).found_in("passwort"));
}

#[test]
fn values_are_bounded_and_the_oldest_goes() {
    let mut typed = TypedSecrets::new();
    assert!(typed.is_empty());
    assert!(!typed.found_in(&"a".repeat(MAX_TEXT_BYTES + 1)));
    typed.note("   ");
    assert!(typed.is_empty());
    for i in 0..=MAX_VALUES {
        typed.note(&format!("  value-{i:04}\t"));
    }
    assert_eq!(typed.len(), MAX_VALUES);
    assert!(!typed.found_in("value-0000"));
    assert!(typed.found_in("value-0001") && typed.found_in("value-0256"));
    // Noted again, it is the newest.
    typed.note("value-0001");
    typed.note("another");
    assert!(typed.found_in("value-0001") && !typed.found_in("value-0002"));
    let long = "é".repeat(MAX_VALUE_BYTES);
    typed.note(&long);
    assert!(typed.found_in(&long));
    assert_eq!(format!("{typed:?}"), "TypedSecrets(256)");
}

#[test]
fn what_is_too_long_to_be_searched_counts_as_found() {
    let typed = typed(&["Correct horse"]);
    let text = "a".repeat(MAX_TEXT_BYTES);
    assert!(typed.found_in(&format!("{text}a")));
}

#[test]
fn text_with_every_encoding_is_searched_within_bounds() {
    let typed = typed(&["Correct horse", "4711"]);
    let words = r#"{"a":"https://bank.example/x?y=%20+%2B&amp;z=\u00e9","b":"Zm9vYmFyIGJheiAyMDI2IHF1dXg=","c":"00ff17"}"#;
    let json = serde_json::json!({ "persist": words.repeat(200) }).to_string();
    let twice = STANDARD.encode(STANDARD.encode(&json));
    for text in [
        &json,
        &twice,
        &hex::encode(&json),
        &json.replace('"', "%22"),
    ] {
        assert!(!typed.found_in(text));
    }
}

#[test]
fn what_decodes_into_ever_more_ends() {
    let typed = typed(&["Correct horse", "4711"]);
    for part in [
        "%25",
        "\\\\",
        "&amp;amp;",
        "%u0025+",
        "\\u005c",
        "\0a",
        "3235",
        "Zm9v",
        "&#37;25\\x25+",
    ] {
        let _ = typed.found_in(&part.repeat(20_000));
    }
}

/// Says how long it takes: `cargo test -p authloop-rooms --test typed -- --nocapture --ignored`.
#[test]
#[ignore = "a measurement"]
fn a_thousand_entries_take() {
    let mut state = 1_u64;
    let mut random = |n: usize| -> Vec<u8> {
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..n).map(next).collect()
    };
    let base64: Vec<String> = (0..1000).map(|_| STANDARD.encode(random(768))).collect();
    let hex: Vec<String> = (0..1000).map(|_| hex::encode(random(512))).collect();
    let words = "{\"theme\":\"dark\",\"lastVisited\":\"https://bank.example/accounts?tab=2&x=%20\",\"n\":17}";
    let json: Vec<String> = (0..1000)
        .map(|i| serde_json::json!({ "i": i, "persist": words.repeat(11) }).to_string())
        .collect();
    for (kind, entries) in [("base64", &base64), ("hex", &hex), ("json", &json)] {
        for values in [
            &["Correct horse"][..],
            &["Correct horse", "123456"],
            &["Correct horse", "4711"],
        ] {
            let typed = typed(values);
            let took = shortest(&|| entries.iter().any(|entry| typed.found_in(entry)));
            println!("{kind} {values:?}: {took:?}");
        }
    }
    for (kind, text) in [
        ("base64", STANDARD.encode(random(5 << 20))),
        ("json", words.repeat(90_000)),
    ] {
        let typed = typed(&["Correct horse", "4711"]);
        let took = shortest(&|| typed.found_in(&text));
        println!("{} bytes of {kind}: {took:?}", text.len());
    }
}

/// Of some runs the one that others disturbed least.
fn shortest(finds: &dyn Fn() -> bool) -> Option<Duration> {
    let time = |_| {
        let start = Instant::now();
        assert!(!finds());
        start.elapsed()
    };
    (0..7).map(time).min()
}
