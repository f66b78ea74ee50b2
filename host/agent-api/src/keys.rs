//! API keys, and whose sessions are whose.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::config_error::ConfigError;

/// Shorter keys can be guessed.
const MIN_KEY_BYTES: usize = 16;
const MAX_KEY_BYTES: usize = 512;
const MAX_KEYS: usize = 1000;

/// Whose sessions they are: the key's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(pub(super) usize);

/// The keys that are accepted, as hashes; none at all accepts everyone.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<[u8; 32]>);

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
        let mut keys = Vec::new();
        for (i, line) in text.expose_secret().lines().enumerate() {
            let key = line.trim();
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
            if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&key.len()) || !visible {
                return Err(format!(
                    "line {}: a key has from {MIN_KEY_BYTES} to {MAX_KEY_BYTES} visible ASCII characters",
                    i + 1
                ));
            }
            let hash = hash(key);
            if keys.contains(&hash) {
                return Err(format!("line {}: this key was there before", i + 1));
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

    /// Compares hashes with all keys, in constant time.
    pub(super) fn owner(&self, presented: Option<&str>) -> Option<Owner> {
        if self.is_open() {
            return Some(Owner(0));
        }
        let presented = hash(presented?);
        let mut found = None;
        for (i, key) in self.0.iter().enumerate() {
            if bool::from(key.ct_eq(&presented)) {
                found = Some(Owner(i));
            }
        }
        found
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
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
