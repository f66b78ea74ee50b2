//! A file of keys, and which of them a request presents.

use std::ops::RangeBounds;

use crate::secret_hash::SecretHash;

/// The shortest key, in bytes; a shorter one could be guessed.
pub const MIN_KEY_BYTES: usize = 16;

/// The lines of a keys file that hold a key, trimmed, each with its number, counted from 1. Empty lines and
/// lines that start with `#` are skipped, and so is a byte order mark, which some editors write first.
pub fn key_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim);
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Hashes a key; `None` when it has not as many bytes as a key may, or one that is not allowed.
pub fn hash_key(
    key: &str,
    lengths: impl RangeBounds<usize>,
    is_allowed: impl Fn(u8) -> bool,
) -> Option<SecretHash> {
    let is_key = lengths.contains(&key.len()) && key.bytes().all(is_allowed);
    is_key.then(|| SecretHash::of(key.as_bytes()))
}

/// The place of the key that is presented. Compares with all keys, each in constant time.
pub fn find_key<'a>(
    keys: impl IntoIterator<Item = &'a SecretHash>,
    presented: &str,
) -> Option<usize> {
    let presented = SecretHash::of(presented.as_bytes());
    let places = keys.into_iter().enumerate();
    places.fold(None, |found, (place, key)| {
        if key.matches(&presented) {
            Some(place)
        } else {
            found
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_hold_no_key_but_count() {
        let lines: Vec<_> = key_lines("# ours\n\n one \r\n\t\n#two\nthree # four").collect();
        assert_eq!(lines, [(3, "one"), (6, "three # four")]);
    }

    #[test]
    fn a_key_has_a_length_and_characters() {
        let is_key = |key: &str| hash_key(key, 4..=6, |byte| byte.is_ascii_graphic()).is_some();
        for good in ["four", "sixsix"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "one", "seven-7", "a key", "clé"] {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn only_a_whole_key_is_found() {
        let keys = [b"first", b"other"].map(|key| SecretHash::of(key));
        assert_eq!(find_key(&keys, "first"), Some(0));
        assert_eq!(find_key(&keys, "other"), Some(1));
        for wrong in ["", "othe", "other1"] {
            assert_eq!(find_key(&keys, wrong), None, "{wrong}");
        }
        assert_eq!(find_key(&[], "first"), None);
    }
}
