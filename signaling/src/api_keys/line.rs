//! One line of a keys file: `KEY`, or `NAME SCOPE[+SCOPE…] KEY [expires=RFC3339] [rate=N]`.

use std::{num::NonZeroU32, sync::Arc};

use authloop_bearer::{MIN_KEY_BYTES, SecretHash, hash_key};
use authloop_protocol::id::to_b64u;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use super::scope::Scope;
use crate::secret::random;

const MAX_KEY_NAME_BYTES: usize = 64;
/// What every key that [`NewKey::make`] makes begins with, so that scanners for leaked secrets can
/// tell.
const KEY_PREFIX: &str = "al_";

/// One key, as its line describes it.
#[derive(Clone)]
pub(super) struct Key {
    /// `None` for a line that has only the key.
    pub(super) name: Option<Arc<str>>,
    pub(super) scopes: Vec<Scope>,
    pub(super) hash: SecretHash,
    /// Unix seconds from which it is refused.
    pub(super) expires: Option<u64>,
    /// Requests a minute.
    pub(super) rate: Option<NonZeroU32>,
}

impl Key {
    /// What is wrong is said without the line's words: any of them may be a key.
    pub(super) fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_whitespace();
        let (Some(first), second) = (words.next(), words.next()) else {
            return Err("there is no key");
        };
        let Some(scopes) = second else {
            return Ok(Self {
                name: None,
                scopes: vec![Scope::CreateSessions],
                hash: key(first)?,
                expires: None,
                rate: None,
            });
        };
        let mut parsed = Self {
            name: Some(name(first)?),
            scopes: scopes
                .split('+')
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            hash: key(words
                .next()
                .ok_or("a name and scopes must be followed by the key")?)?,
            expires: None,
            rate: None,
        };
        for word in words {
            match word.split_once('=') {
                Some(("expires", moment)) if parsed.expires.is_none() => {
                    parsed.expires = Some(unix_seconds(moment)?);
                }
                Some(("rate", rate)) if parsed.rate.is_none() => {
                    let rate = rate.parse();
                    parsed.rate =
                        Some(rate.map_err(|_| "`rate=` must be requests a minute, 1 or more")?);
                }
                _ => return Err("after the key come only `expires=` and `rate=`, each once"),
            }
        }
        Ok(parsed)
    }
}

fn name(word: &str) -> Result<Arc<str>, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if word.len() > MAX_KEY_NAME_BYTES || !word.chars().all(plain) {
        return Err("a name must be at most 64 letters, digits, or any of ._-");
    }
    Ok(Arc::from(word))
}

fn key(word: &str) -> Result<SecretHash, &'static str> {
    if let Some(digits) = word.strip_prefix("sha256:") {
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash)
            .map_err(|_| "`sha256:` must be followed by 64 hexadecimal digits")?;
        return Ok(SecretHash::from_bytes(hash));
    }
    hash_key(word, MIN_KEY_BYTES.., |_| true).ok_or("a key must be at least 16 characters long")
}

fn unix_seconds(moment: &str) -> Result<u64, &'static str> {
    const BAD_EXPIRY: &str = "`expires=` must be a time as in 2027-01-31T00:00:00Z (RFC 3339)";
    let moment = OffsetDateTime::parse(moment, &Rfc3339).map_err(|_| BAD_EXPIRY)?;
    u64::try_from(moment.unix_timestamp()).map_err(|_| BAD_EXPIRY)
}

/// What a fresh key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// At most 64 letters, digits, or any of `._-`.
    pub name: String,
    /// What it may do; none means `sessions:create`.
    pub scopes: Vec<Scope>,
    /// When it ends, in RFC 3339; `None` for never.
    pub expires: Option<String>,
    /// Requests a minute; `None` for the default.
    pub rate: Option<NonZeroU32>,
}

impl NewKey {
    /// Makes the key: `al_` and 32 random bytes in base64url, and the line for the keys file, which
    /// has its hash only.
    ///
    /// # Errors
    /// A sentence, when the name or the time is not valid or the system gives no random bytes.
    pub fn make(&self) -> Result<(Zeroizing<String>, String), &'static str> {
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(random().map_err(|_| "the operating system gave no random bytes")?);
        let key = Zeroizing::new(format!("{KEY_PREFIX}{}", to_b64u(bytes.as_slice())));
        let mut scopes = self.scopes.clone();
        if scopes.is_empty() {
            scopes.push(Scope::CreateSessions);
        }
        scopes.sort_unstable();
        scopes.dedup();
        let scopes: Vec<&str> = scopes.into_iter().map(Scope::as_str).collect();
        let hash = SecretHash::of(key.as_bytes());
        let mut line = format!(
            "{} {} sha256:{}",
            self.name,
            scopes.join("+"),
            hex::encode(hash.as_bytes())
        );
        if let Some(expires) = &self.expires {
            line.push_str(" expires=");
            line.push_str(expires);
        }
        if let Some(rate) = self.rate {
            line.push_str(&format!(" rate={rate}"));
        }
        let parsed = Key::parse(&line)?;
        if parsed.name.as_deref() != Some(self.name.as_str()) {
            return Err("a name must be at most 64 letters, digits, or any of ._-");
        }
        Ok((key, line))
    }
}

/// A moment as people read it; empty for one that the calendar does not have.
pub(super) fn rfc3339(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.to_offset(UtcOffset::UTC).format(&Rfc3339).ok())
        .unwrap_or_default()
}
