//! A secret is found in every encoding, wherever it stands, and nothing else is.

use authloop_canary::{SecretScanner, needles};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

const SECRET: &[u8] = b"kX9~q?Zb7>tRw2Lm";

fn found(haystack: &[u8]) -> Vec<String> {
    let scanner = SecretScanner::new(&needles("s", SECRET));
    let hits = scanner.scan_bytes(haystack, "here").hits;
    hits.into_iter().map(|hit| hit.needle).collect()
}

#[test]
fn plain_text_is_found_in_three_encodings() {
    let text = std::str::from_utf8(SECRET).unwrap();
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();

    assert_eq!(found(&[b"..", SECRET, b".."].concat()), ["s/utf-8"]);
    assert!(found(&[b"..", &le[..], b".."].concat()).contains(&"s/utf-8/utf-16le".into()));
    assert!(found(&[b".", &be[..], b".."].concat()).contains(&"s/utf-8/utf-16be".into()));
}

#[test]
fn base64_of_something_that_holds_the_secret_is_found_wherever_it_stands() {
    for before in 0..7 {
        for after in 0..7 {
            let whole = [&vec![0xA5; before], SECRET, &vec![0x5A; after]].concat();

            assert_eq!(found(STANDARD_NO_PAD.encode(&whole).as_bytes()).len(), 1);
            assert_eq!(found(URL_SAFE_NO_PAD.encode(&whole).as_bytes()).len(), 1);
            assert_eq!(found(hex::encode(&whole).as_bytes()), ["s/hex"]);
            assert_eq!(found(hex::encode_upper(&whole).as_bytes()), ["s/hex-upper"]);
        }
    }
}

#[test]
fn a_near_miss_is_not_found() {
    let mut near = SECRET.to_vec();
    near[8] ^= 1;

    assert!(found(&near).is_empty());
    assert!(found(STANDARD_NO_PAD.encode(&near).as_bytes()).is_empty());
}
