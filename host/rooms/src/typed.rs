//! What the user typed into secret fields, and whether something that is to leave the room holds it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod decode;
mod entities;
mod matcher;
mod search;

use std::{collections::VecDeque, fmt};

use zeroize::Zeroizing;

use self::{
    matcher::{Matcher, Needle},
    search::Search,
};

/// The most values that are remembered; the oldest go.
pub const MAX_VALUES: usize = 256;
/// The most of one value that is remembered, in bytes; of a longer one its beginning.
pub const MAX_VALUE_BYTES: usize = 4 * 1024;
/// The longest text that is searched, in bytes. A longer one counts as holding a value.
pub const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;
/// The most encodings on top of one another that are undone.
pub const MAX_DEPTH: usize = 3;
/// How much is decoded of a text at most, in its lengths: enough for every encoding of the same text on top
/// of every other. A text that decodes into more counts as holding a value.
pub const MAX_WORK_RATIO: usize = 64;
/// The shortest value that is searched for, in characters.
pub const MIN_CHARS: usize = 3;
/// The shortest value that is found within a word, in characters.
pub const MIN_ANYWHERE_CHARS: usize = 6;
/// The longest value whose case matters, in characters.
pub const MAX_EXACT_CHARS: usize = 8;

/// The values that the user typed into secret fields; zeroed when dropped. `Debug` shows only how many.
///
/// A site may keep what was typed where a session is kept: "remember me" with the password, a form sent by GET, a
/// draft in `localStorage`. It is looked for in the encodings that such code uses, by decoding the text again
/// and again ([`MAX_DEPTH`] steps) and looking for each value in every decoded form:
///
/// - as it is, reversed, in UTF-16 of either byte order, and in Latin-1, as JavaScript's `btoa` takes it;
/// - hex of either case, base64 and base64url at any alignment and with lines broken as in a letter;
/// - percent encoding of any case, `+` for a space, `%uXXXX` as JavaScript's `escape` writes it;
/// - escapes of JSON and JavaScript; HTML's numeric entities and the named ones of ASCII and Latin-1.
///
/// Not found is what cannot be decoded without knowing how: hashes of a value, what is encrypted or
/// compressed, a value cut into pieces, numbers in a list, an encoding that is itself reversed, more than [`MAX_DEPTH`]
/// encodings on top of one another. Values are compared without regard to ASCII case if they have more
/// than [`MAX_EXACT_CHARS`] characters.
///
/// A value of fewer than [`MIN_ANYWHERE_CHARS`] characters (a PIN, a card's check number) would be found by accident in
/// long random values, so it counts only as a whole word, between characters that are neither letters nor digits, and
/// not reversed. One of fewer than [`MIN_CHARS`] characters is not searched for at all.
#[derive(Default)]
pub struct TypedSecrets {
    values: VecDeque<Zeroizing<String>>,
    anywhere: Matcher,
    words: Matcher,
    has_space: bool,
}

impl TypedSecrets {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers what a secret field held, without the space around it: what has the value with its space has
    /// it without, too. Note a value when it is complete, not after each key: its beginnings would be found in much.
    pub fn note(&mut self, value: &str) {
        let value = beginning(value).trim();
        if value.is_empty() {
            return;
        }
        self.values.retain(|known| known.as_str() != value);
        if self.values.len() == MAX_VALUES {
            self.values.pop_front();
        }
        self.values.push_back(Zeroizing::new(value.to_owned()));
        self.prepare();
    }

    /// Returns whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns how many values are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether `text` holds one of the values in any of the encodings; also if it is too long, or decodes
    /// into too much, to be searched.
    ///
    /// The work is bounded: at most [`MAX_WORK_RATIO`] times the text's length is decoded.
    #[must_use]
    pub fn found_in(&self, text: &str) -> bool {
        self.found_in_bytes(text.as_bytes())
    }

    /// Does what [`TypedSecrets::found_in`] does for bytes that need not be text.
    #[must_use]
    pub fn found_in_bytes(&self, bytes: &[u8]) -> bool {
        let shortest = self.anywhere.shortest().min(self.words.shortest());
        if shortest == usize::MAX {
            return false;
        }
        bytes.len() > MAX_TEXT_BYTES
            || Search::new(&self.anywhere, &self.words, shortest, self.has_space).finds(bytes)
    }

    fn prepare(&mut self) {
        let chars = |value: &str| value.chars().take(MAX_EXACT_CHARS + 1).count();
        let values = || self.values.iter().map(|value| value.as_str());
        // In UTF-16, other characters have that byte, too.
        self.has_space = values().any(|value| value.contains(' ') || !value.is_ascii());
        self.anywhere = Matcher::new(
            values()
                .filter(|value| chars(value) >= MIN_ANYWHERE_CHARS)
                .flat_map(|value| forms(value, chars(value) > MAX_EXACT_CHARS))
                .collect(),
        );
        self.words = Matcher::new(
            values()
                .filter(|value| (MIN_CHARS..MIN_ANYWHERE_CHARS).contains(&chars(value)))
                .flat_map(words)
                .collect(),
        );
    }
}

impl fmt::Debug for TypedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedSecrets({})", self.values.len())
    }
}

fn beginning(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE_BYTES)]
}

/// The bytes as which a value may stand in what is decoded.
fn forms(value: &str, any_case: bool) -> Vec<Needle> {
    let mut reversed = Zeroizing::new(String::with_capacity(value.len()));
    reversed.extend(value.chars().rev());
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        let mut form = Zeroizing::new(Vec::with_capacity(2 * value.len()));
        form.extend(value.encode_utf16().flat_map(bytes));
        form
    };
    let mut forms = vec![
        Zeroizing::new(value.as_bytes().to_vec()),
        Zeroizing::new(reversed.as_bytes().to_vec()),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    forms.extend(latin1(value));
    let needle = |bytes| Needle {
        bytes,
        any_case,
        is_word: false,
    };
    forms.into_iter().map(needle).collect()
}

/// As [`forms`]; UTF-16 is decoded before, as what stands around a word is in UTF-16, too.
fn words(value: &str) -> Vec<Needle> {
    let forms = [
        Some(Zeroizing::new(value.as_bytes().to_vec())),
        latin1(value),
    ];
    let needle = |bytes| Needle {
        bytes,
        any_case: false,
        is_word: true,
    };
    forms.into_iter().flatten().map(needle).collect()
}

fn latin1(value: &str) -> Option<Zeroizing<Vec<u8>>> {
    if value.is_ascii() {
        return None;
    }
    let mut form = Zeroizing::new(Vec::with_capacity(value.len()));
    for char in value.chars() {
        form.push(u8::try_from(char).ok()?);
    }
    Some(form)
}
