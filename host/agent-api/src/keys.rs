//! API keys, and whose sessions are whose.

use std::path::Path;

use authloop_bearer::{MIN_KEY_BYTES, SecretHash, find_key, hash_key, key_lines};
use secrecy::{ExposeSecret as _, SecretString};

use super::config_error::ConfigError;

const MAX_KEY_BYTES: usize = 512;
const MAX_KEYS: usize = 1000;

/// Whose sessions they are: the key's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(pub(super) usize);

/// The keys that are accepted, as hashes; none at all accepts everyone.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<SecretHash>);

impl ApiKeys {
    /// Reads a file with one key a line; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`ConfigError::Keys`], which never repeats a key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bad = |problem: String| ConfigError::Keys {
            path: path.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        Self::parse(&SecretString::from(text)).map_err(bad)
    }

    /// Reads keys, one a line.
    fn parse(text: &SecretString) -> Result<Self, String> {
        let mut keys = Vec::<SecretHash>::new();
        for (line, key) in key_lines(text.expose_secret()) {
            let lengths = MIN_KEY_BYTES..=MAX_KEY_BYTES;
            let Some(hash) = hash_key(key, lengths, |byte| byte.is_ascii_graphic()) else {
                return Err(format!(
                    "line {line}: a key has from {MIN_KEY_BYTES} to {MAX_KEY_BYTES} visible ASCII characters"
                ));
            };
            if keys.iter().any(|known| known.matches(&hash)) {
                return Err(format!("line {line}: this key was there before"));
            }
            keys.push(hash);
        }
        match keys.len() {
            0 => Err("it holds no key".to_owned()),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(format!("it holds more than {MAX_KEYS} keys")),
        }
    }

    /// Whether everyone is accepted.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len().max(1)
    }

    /// Whose key is presented.
    pub(super) fn owner(&self, presented: Option<&str>) -> Option<Owner> {
        if self.is_open() {
            return Some(Owner(0));
        }
        find_key(&self.0, presented?).map(Owner)
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines() {
        let keys =
            ApiKeys::parse(&"# ours\n\n0123456789abcdef\nfedcba9876543210\n".into()).unwrap();

        assert_eq!(keys.owner(Some("fedcba9876543210")), Some(Owner(1)));
        assert_eq!(keys.owner(Some("fedcba987654321")), None);
        assert_eq!(keys.owner(None), None);
        assert_eq!(ApiKeys::default().owner(None), Some(Owner(0)));
    }

    #[test]
    fn bad_key_files_are_refused_without_repeating_them() {
        for bad in [
            "",
            "# none",
            "short",
            "0123456789abcdef x y",
            "0123456789abcdef\n0123456789abcdef",
        ] {
            let error = ApiKeys::parse(&bad.into()).unwrap_err();
            assert!(!error.contains("0123"), "{error}");
        }
    }
}
