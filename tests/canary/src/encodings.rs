//! The encodings in which a secret may lie about.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// `secret/encoding`.
    pub name: String,
    /// What to look for.
    pub bytes: Vec<u8>,
}

/// Every form of `secret`: as it is, in hex of both cases and in both base64 alphabets at each
/// alignment to its neighbours; all but the raw bytes of a non-text also as UTF-16.
#[must_use]
pub fn forms(name: &str, secret: &[u8]) -> Vec<Needle> {
    let mut texts = vec![
        ("hex".to_owned(), hex::encode(secret)),
        ("hex-upper".to_owned(), hex::encode_upper(secret)),
    ];
    for alignment in 0..3 {
        texts.push((
            format!("base64+{alignment}"),
            base64_at(alignment, secret, |bytes| STANDARD_NO_PAD.encode(bytes)),
        ));
        texts.push((
            format!("base64url+{alignment}"),
            base64_at(alignment, secret, |bytes| URL_SAFE_NO_PAD.encode(bytes)),
        ));
    }
    let mut needles = Vec::new();
    match std::str::from_utf8(secret) {
        Ok(text) => texts.push(("utf-8".to_owned(), text.to_owned())),
        Err(_) => needles.push(Needle {
            name: format!("{name}/raw"),
            bytes: secret.to_vec(),
        }),
    }
    for (encoding, text) in texts {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
        needles.push(Needle {
            name: format!("{name}/{encoding}/utf-16le"),
            bytes: utf16(u16::to_le_bytes),
        });
        needles.push(Needle {
            name: format!("{name}/{encoding}/utf-16be"),
            bytes: utf16(u16::to_be_bytes),
        });
        needles.push(Needle {
            name: format!("{name}/{encoding}"),
            bytes: text.into_bytes(),
        });
    }
    // The two alphabets agree on most secrets.
    let mut seen = std::collections::HashSet::new();
    needles.retain(|needle| seen.insert(needle.bytes.clone()));
    needles
}

/// The part of the base64 text that does not depend on what stands around the secret, when
/// `alignment` bytes of its first group are another's.
fn base64_at(alignment: usize, secret: &[u8], encode: impl Fn(&[u8]) -> String) -> String {
    let mut bytes = vec![0; alignment];
    bytes.extend_from_slice(secret);
    let text = encode(&bytes);
    // A character holds 6 bits: of the first group, 1 foreign byte spoils two, 2 spoil three.
    let start = [0, 2, 3][alignment];
    // A last group that is not whole shares its last character with what follows.
    let end = text.len() - usize::from(!bytes.len().is_multiple_of(3));
    text[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Search;

    const SECRET: &[u8] = b"kX9~q?Zb7>tRw2Lm";

    fn found(haystack: &[u8]) -> Vec<String> {
        let search = Search::new(&forms("s", SECRET));
        let hits = search.bytes(haystack, "here").hits;
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
}
