//! A cookie, as CDP gives it and takes it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

/// A cookie with all that a browser keeps of it.
pub struct Cookie {
    pub(crate) name: String,
    pub(crate) value: SecretString,
    /// The host, or with a leading dot the domain (RFC 6265 section 5.3).
    pub(crate) domain: String,
    pub(crate) path: String,
    /// Seconds since 1970; -1 for a session cookie.
    pub(crate) expires: f64,
    pub(crate) http_only: bool,
    pub(crate) secure: bool,
    /// `Strict`, `Lax` or `None`, if the site said so.
    pub(crate) same_site: Option<SameSite>,
    /// Whose frames it is for, if it is partitioned (CHIPS).
    pub(crate) partition: Option<PartitionKey>,
}

/// Below which top-level site a partitioned cookie is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionKey {
    /// `https://bank.example`.
    pub(crate) top_level_site: String,
    /// Whether a frame of another site stands between.
    pub(crate) has_cross_site_ancestor: bool,
}

/// When a cookie goes along with requests of other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
    None,
}

/// What tells a cookie from others of its name, for its deletion.
pub(crate) struct CookieScope<'a>(pub(crate) &'a Cookie);

impl SameSite {
    fn from_cdp(text: &str) -> Option<Self> {
        match text {
            "Strict" => Some(Self::Strict),
            "Lax" => Some(Self::Lax),
            "None" => Some(Self::None),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// CDP's own form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CdpCookie {
    name: String,
    value: SecretString,
    domain: String,
    path: String,
    #[serde(default)]
    expires: Option<f64>,
    #[serde(default)]
    http_only: bool,
    #[serde(default)]
    secure: bool,
    #[serde(default)]
    session: bool,
    same_site: Option<String>,
    partition_key: Option<PartitionKey>,
    #[serde(default)]
    partition_key_opaque: bool,
}

/// The cookies in an answer of `Network.getAllCookies`; `None` if it is not one. A cookie of an opaque partition
/// cannot be set anywhere else and is left out.
pub(crate) fn cookies_from_cdp(mut answer: Value) -> Option<Vec<Cookie>> {
    let cookies = Vec::<CdpCookie>::deserialize(answer["cookies"].take()).ok()?;
    let kept = cookies
        .into_iter()
        .filter(|cookie| !cookie.partition_key_opaque);
    Some(kept.map(Cookie::from).collect())
}

impl From<CdpCookie> for Cookie {
    fn from(cookie: CdpCookie) -> Self {
        let expires = cookie.expires.filter(|_| !cookie.session);
        Self {
            name: cookie.name,
            value: cookie.value,
            domain: cookie.domain,
            path: cookie.path,
            expires: expires.unwrap_or(-1.0),
            http_only: cookie.http_only,
            secure: cookie.secure,
            same_site: cookie.same_site.as_deref().and_then(SameSite::from_cdp),
            partition: cookie.partition_key,
        }
    }
}

impl Cookie {
    /// Whether it would be sent to some path of `site` (RFC 6265 section 5.4).
    pub(crate) fn belongs_to(&self, site: &Url) -> bool {
        let Some(host) = site.host_str() else {
            return false;
        };
        let domain = match self.domain.strip_prefix('.') {
            Some(parent) => {
                host == parent
                    || host
                        .strip_suffix(parent)
                        .is_some_and(|rest| rest.ends_with('.'))
            }
            None => host == self.domain,
        };
        // Chromium treats loopback as secure.
        let local = host == "localhost" || host == "127.0.0.1" || host.ends_with(".localhost");
        domain && (!self.secure || site.scheme() == "https" || local)
    }

    /// A `CookieParam` for `Storage.setCookies`. What was measured to come out the same: a cookie of one host
    /// is named by an address and no domain, a session cookie has no `expires`, and a site that said nothing
    /// of `SameSite` is left to say nothing.
    pub(crate) fn to_cdp(&self) -> Value {
        let mut param = json!({
            "name": self.name,
            "value": self.value.expose_secret(),
            "path": self.path,
            "httpOnly": self.http_only,
            "secure": self.secure,
        });
        if self.domain.starts_with('.') {
            param["domain"] = self.domain.clone().into();
        } else {
            param["url"] = self.address().into();
        }
        if self.expires >= 0.0 {
            param["expires"] = self.expires.into();
        }
        if let Some(same_site) = self.same_site {
            param["sameSite"] = same_site.as_str().into();
        }
        if let Some(partition) = &self.partition {
            param["partitionKey"] = partition.to_cdp();
        }
        param
    }

    /// An address to which it would be sent.
    fn address(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = self.domain.trim_start_matches('.');
        format!("{scheme}://{host}{}", self.path)
    }

    /// Whether it is the same cookie as another, whatever the values (RFC 6265 section 5.3, step 11).
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path, &self.partition)
            == (&other.name, &other.domain, &other.path, &other.partition)
    }
}

impl PartitionKey {
    fn to_cdp(&self) -> Value {
        json!({
            "topLevelSite": self.top_level_site,
            "hasCrossSiteAncestor": self.has_cross_site_ancestor,
        })
    }
}

impl CookieScope<'_> {
    /// The parameters of `Network.deleteCookies`.
    pub(crate) fn to_cdp(&self) -> Value {
        let cookie = self.0;
        let mut params = json!({
            "name": cookie.name,
            "domain": cookie.domain,
            "path": cookie.path,
        });
        if let Some(partition) = &cookie.partition {
            params["partitionKey"] = partition.to_cdp();
        }
        params
    }
}

/// Its name and domain only.
impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
