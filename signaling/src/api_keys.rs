//! API keys: who may register and end sessions and read what operators read. Only hashes are kept.
//!
//! A set of keys can be replaced while the server runs; two keys of one name may hold at once, so
//! that one can be exchanged for the other without a gap.

mod line;
mod scope;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use authloop_bearer::{SecretHash, bearer_token, find_key, key_lines};
use axum::http::HeaderMap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use parking_lot::RwLock;

use crate::rates::per;
use line::{Key, rfc3339};

pub use line::NewKey;
pub use scope::Scope;

/// Requests a minute with the keys of one name, at once or spread, unless their lines say `rate=`.
pub const DEFAULT_REQUESTS_PER_MINUTE: NonZeroU32 = per(3000);

/// A set of API keys; clones share it.
#[derive(Clone)]
pub struct ApiKeys {
    set: Arc<RwLock<Arc<KeySet>>>,
}

struct KeySet {
    entries: Vec<KeyEntry>,
    /// What the set was read from.
    source: SecretHash,
}

struct KeyEntry {
    key: Key,
    limit: Arc<KeyRateLimit>,
}

/// A rate that the keys of one name share.
struct KeyRateLimit {
    rate: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

/// Whoever sent a request with a key that may do what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's name; `None` for a key whose line gives none.
    pub name: Option<Arc<str>>,
}

/// Why a request's key does not let it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    /// The request has no key.
    Missing,
    /// Nobody knows it.
    Unknown,
    Expired(Caller),
    /// It may do other things only.
    Scope(Caller, Scope),
    Rate(Caller, Duration),
}

impl KeyRefusal {
    /// The outcome's name, for metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired(_) => "expired",
            Self::Scope(..) => "insufficient_scope",
            Self::Rate(..) => "rate_limited",
        }
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Missing | Self::Unknown => None,
            Self::Expired(caller) | Self::Scope(caller, _) | Self::Rate(caller, _) => Some(caller),
        }
    }
}

impl ApiKeys {
    /// Parses one key a line. Empty lines and lines that start with `#` are skipped. A line is
    ///
    /// - a key, which may register sessions and has no name; or
    /// - `NAME SCOPE[+SCOPE…] KEY [expires=RFC3339] [rate=REQUESTS_A_MINUTE]`,
    ///
    /// where the key itself may stand as `sha256:` and 64 hexadecimal digits of its hash.
    ///
    /// # Errors
    /// [`ApiKeyError`] names the line, never the key.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let set = KeySet::parse(text, None)?;
        Ok(Self {
            set: Arc::new(RwLock::new(Arc::new(set))),
        })
    }

    /// Puts the keys of `text` in the place of those that hold now, in one step; `false` when it is
    /// the text that they came from. Who has used up a rate does not get it back by this.
    ///
    /// # Errors
    /// As [`Self::parse`]; then the old keys go on.
    pub fn replace(&self, text: &str) -> Result<bool, ApiKeyError> {
        let old = self.current();
        if old.source.matches(&SecretHash::of(text.as_bytes())) {
            return Ok(false);
        }
        let new = Arc::new(KeySet::parse(text, Some(&old))?);
        *self.set.write() = new;
        Ok(true)
    }

    /// How many keys there are, expired ones included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.current().entries.len()
    }

    /// How many of them have expired at `now`, in Unix seconds.
    #[must_use]
    pub fn expired(&self, now: u64) -> usize {
        let set = self.current();
        set.entries
            .iter()
            .filter(|entry| entry.key.is_expired(now))
            .count()
    }

    /// What is odd but usable about the keys, one sentence each, by name: what `authloop check` says.
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<String> {
        const EXPIRY_WARNING_SECONDS: u64 = 14 * 24 * 60 * 60;
        let set = self.current();
        let ending = set.entries.iter().filter_map(|entry| {
            let name = entry.key.name.as_deref().unwrap_or("without a name");
            let expires = entry.key.expires?;
            let moment = rfc3339(expires);
            if expires <= now {
                Some(format!("the API key {name} expired at {moment}"))
            } else if expires - now < EXPIRY_WARNING_SECONDS {
                Some(format!("the API key {name} expires at {moment}"))
            } else {
                None
            }
        });
        ending.collect()
    }

    /// Whether any key has this scope, be it an expired one: what it guards must not open by itself.
    #[must_use]
    pub fn mentions(&self, scope: Scope) -> bool {
        let set = self.current();
        set.entries
            .iter()
            .any(|entry| entry.key.scopes.contains(&scope))
    }

    /// Whether the request's bearer token is one of the keys, valid or not.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| self.current().find(token).is_some())
    }

    /// Lets a request in that may do this at `now`, in Unix seconds, and takes one from its rate.
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        now: u64,
    ) -> Result<Caller, KeyRefusal> {
        let token = bearer_token(headers).ok_or(KeyRefusal::Missing)?;
        let set = self.current();
        let entry = set.find(token).ok_or(KeyRefusal::Unknown)?;
        let caller = Caller {
            name: entry.key.name.clone(),
        };
        if entry.key.is_expired(now) {
            return Err(KeyRefusal::Expired(caller));
        }
        if !entry.key.scopes.contains(&scope) {
            return Err(KeyRefusal::Scope(caller, scope));
        }
        match entry.limit.check() {
            Ok(()) => Ok(caller),
            Err(wait) => Err(KeyRefusal::Rate(caller, wait)),
        }
    }

    fn current(&self) -> Arc<KeySet> {
        self.set.read().clone()
    }
}

impl KeySet {
    fn parse(text: &str, old: Option<&Self>) -> Result<Self, ApiKeyError> {
        let mut set = Self {
            entries: Vec::new(),
            source: SecretHash::of(text.as_bytes()),
        };
        let mut seen = HashMap::new();
        for (line, words) in key_lines(text) {
            set.add(words, &mut seen, old)
                .map_err(|reason| ApiKeyError::Line { line, reason })?;
        }
        if set.entries.is_empty() {
            return Err(ApiKeyError::Empty);
        }
        Ok(set)
    }

    fn add(
        &mut self,
        line: &str,
        seen: &mut HashMap<[u8; 32], bool>,
        old: Option<&Self>,
    ) -> Result<(), &'static str> {
        let key = Key::parse(line)?;
        let named = key.name.is_some();
        match seen.insert(*key.hash.as_bytes(), named) {
            // As in files of one key a line, where a repeated one says nothing new.
            Some(false) if !named => return Ok(()),
            Some(_) => return Err("this key is on an earlier line already"),
            None => {}
        }
        let rate = key.rate.unwrap_or(DEFAULT_REQUESTS_PER_MINUTE);
        let limit = match self.limit_of(&key) {
            Some(limit) if limit.rate != rate => {
                return Err("keys of one name share one `rate=`; an earlier line has another");
            }
            Some(limit) => limit,
            None => old
                .and_then(|old| old.limit_of(&key))
                .filter(|limit| limit.rate == rate)
                .unwrap_or_else(|| Arc::new(KeyRateLimit::new(rate))),
        };
        self.entries.push(KeyEntry { key, limit });
        Ok(())
    }

    fn limit_of(&self, key: &Key) -> Option<Arc<KeyRateLimit>> {
        let found = self.entries.iter().find(|entry| match &key.name {
            Some(_) => entry.key.name == key.name,
            None => entry.key.name.is_none() && entry.key.hash.matches(&key.hash),
        });
        found.map(|entry| entry.limit.clone())
    }

    fn find(&self, token: &str) -> Option<&KeyEntry> {
        let hashes = self.entries.iter().map(|entry| &entry.key.hash);
        find_key(hashes, token).and_then(|place| self.entries.get(place))
    }
}

impl Key {
    fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

impl KeyRateLimit {
    fn new(rate: NonZeroU32) -> Self {
        Self {
            rate,
            limiter: RateLimiter::direct(Quota::per_minute(rate)),
        }
    }

    fn check(&self) -> Result<(), Duration> {
        let now = self.limiter.clock().now();
        let checked = self.limiter.check();
        checked.map_err(|not_until| not_until.wait_time_from(now))
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.count())
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
