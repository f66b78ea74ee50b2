//! Who may ask: API keys, the name that the request came to, and how often.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::config::ConfigError;
use super::error::ApiError;
use super::service::App;

/// Shorter keys can be guessed.
const MIN_KEY: usize = 16;
const MAX_KEY: usize = 512;
const MAX_KEYS: usize = 1000;

/// Whose sessions they are: the key's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(usize);

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
            if !(MIN_KEY..=MAX_KEY).contains(&key.len()) || !visible {
                return Err(format!(
                    "line {}: a key has from {MIN_KEY} to {MAX_KEY} visible ASCII characters",
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

/// One bucket for each key.
pub(super) struct Rates(Vec<DefaultDirectRateLimiter>);

impl Rates {
    pub(super) fn new(keys: &ApiKeys, quota: Quota) -> Self {
        Self(
            (0..keys.len())
                .map(|_| RateLimiter::direct(quota))
                .collect(),
        )
    }

    pub(super) fn check(&self, owner: Owner) -> Result<(), ApiError> {
        let Some(bucket) = self.0.get(owner.0) else {
            return Ok(());
        };
        bucket.check().map_err(|late| {
            let wait = late.wait_time_from(DefaultClock::default().now());
            ApiError::Rate {
                wait: wait.as_secs() + 1,
            }
        })
    }
}

/// The bearer token.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Refuses what a web page could send: the agent API has no business in browsers. A name that an
/// attacker points here (DNS rebinding) is none that we listen to; an address cannot be pointed.
pub(super) async fn same_machine(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Err(ApiError::Forbidden("web pages may not use the agent API"));
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"none") {
        return Err(ApiError::Forbidden("web pages may not use the agent API"));
    }
    if !is_ours(headers, request.uri(), &app.allow_hosts) {
        return Err(ApiError::Forbidden(
            "the Host header names another machine; see --allow-host",
        ));
    }
    Ok(next.run(request).await)
}

/// Only holders of a key go on, and not too often.
pub(super) async fn with_key(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let owner = app.keys.owner(bearer(request.headers()));
    let owner = owner.ok_or(ApiError::Unauthorized)?;
    app.rates.check(owner)?;
    request.extensions_mut().insert(owner);
    Ok(next.run(request).await)
}

fn is_ours(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    let named = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok().and_then(|host| host.parse().ok()),
        None => uri.authority().cloned(),
    };
    let Some(authority) = named else {
        return false;
    };
    let authority: Authority = authority;
    let host = authority.host().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok() || allowed.contains(&host)
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

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let allowed = ["agents.internal".to_owned()];
        let ours = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            is_ours(&headers, &Uri::from_static("/"), &allowed)
        };
        for good in [
            "localhost:7300",
            "127.0.0.1:7300",
            "[::1]:7300",
            "Agents.Internal",
            "10.0.0.1",
        ] {
            assert!(ours(good), "{good}");
        }
        for bad in [
            "evil.example:7300",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "u@",
            "",
        ] {
            assert!(!ours(bad), "{bad}");
        }
        assert!(!is_ours(
            &HeaderMap::new(),
            &Uri::from_static("/"),
            &allowed
        ));
    }
}
