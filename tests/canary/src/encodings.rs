//! The encodings in which a secret may be stored or sent.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// `secret/encoding`.
    pub name: String,
    /// What to look for.
    pub bytes: Vec<u8>,
}

/// Returns every form of `secret`: as it is, in hex of both cases and in both base64 alphabets at each
/// alignment to its neighbours; all but raw bytes that are not text also as UTF-16.
#[must_use]
pub fn needles(name: &str, secret: &[u8]) -> Vec<Needle> {
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
