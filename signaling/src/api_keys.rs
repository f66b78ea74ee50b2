//! The keys that may register sessions, kept as hashes.

use axum::http::{HeaderMap, header::AUTHORIZATION};

use crate::secret::SecretHash;

/// The shortest key, in bytes; a shorter one could be guessed.
pub const MIN_KEY: usize = 16;

/// A set of API keys.
#[derive(Clone)]
pub struct ApiKeys {
    hashes: Vec<SecretHash>,
}

impl ApiKeys {
    /// Parses one key a line: `sha256:` and 64 hexadecimal digits, or the key itself. Empty lines
    /// and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// [`ApiKeyError`] names the line, never the key.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let mut hashes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            hashes.push(parse_key(line).map_err(|reason| ApiKeyError::Line {
                line: index + 1,
                reason,
            })?);
        }
        if hashes.is_empty() {
            return Err(ApiKeyError::Empty);
        }
        Ok(Self { hashes })
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Whether the request's bearer token is one of the keys. It compares with all of them, each in
    /// constant time.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(given) = bearer(headers).map(|key| SecretHash::of(key.as_bytes())) else {
            return false;
        };
        self.hashes
            .iter()
            .fold(false, |found, hash| found | hash.matches(&given))
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.hashes.len())
    }
}

/// Why a set of API keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// There is no key in it.
    #[error("there is no API key in it")]
    Empty,
    /// One line is wrong.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

fn parse_key(line: &str) -> Result<SecretHash, &'static str> {
    if let Some(digits) = line.strip_prefix("sha256:") {
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash)
            .map_err(|_| "`sha256:` must be followed by 64 hexadecimal digits")?;
        return Ok(SecretHash::from_bytes(hash));
    }
    if line.len() < MIN_KEY {
        return Err("a key must be at least 16 characters long");
    }
    if line.contains(char::is_whitespace) {
        return Err("a key must not contain white space");
    }
    Ok(SecretHash::of(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn request(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn accepts_plain_and_hashed_keys() {
        let hashed = hex::encode(sha2::Sha256::digest(b"another-key-of-mine"));
        let keys =
            ApiKeys::parse(&format!("# ours\n\na-key-of-16-chars\nsha256:{hashed}")).unwrap();
        assert_eq!(keys.count(), 2);
        assert!(keys.allow(&request("Bearer a-key-of-16-chars")));
        assert!(keys.allow(&request("bearer another-key-of-mine")));
        for wrong in [
            "Bearer a-key-of-16-charz",
            "Basic a-key-of-16-chars",
            "Bearer",
            "",
        ] {
            assert!(!keys.allow(&request(wrong)), "{wrong}");
        }
        assert!(!keys.allow(&HeaderMap::new()));
    }

    #[test]
    fn names_the_bad_line_but_not_the_key() {
        let error = ApiKeys::parse("a-key-of-16-chars\nshort").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: a key must be at least 16 characters long"
        );
        assert_eq!(ApiKeys::parse("# none\n").unwrap_err(), ApiKeyError::Empty);
        assert!(ApiKeys::parse("sha256:12").is_err());
    }

    #[test]
    fn shows_no_key() {
        let keys = ApiKeys::parse("a-key-of-16-chars").unwrap();
        assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = ApiKeys::parse(&text);
        }
    }

    use sha2::Digest as _;
}
