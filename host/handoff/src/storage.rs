//! The signed-in state, in Playwright's storage-state format.
//!
//! Cookies come from the browser process. Local storage and IndexedDB are read on a page of our own
//! that answers every request itself, as Playwright does, so that no site sees a visit and no script
//! of a site runs. Values are secrets: they are in no `Debug` output and are zeroed when dropped.

mod local;

use authloop_cdp::{Browser, BrowserError, Page};
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize,
    ser::{Error as _, Serialize, SerializeStruct, Serializer},
};
use serde_json::{Value, json, value::RawValue};
use url::Url;

const NO_DATABASES: &str = "[]";

/// Cookies, local storage and IndexedDB.
pub struct StorageState {
    cookies: Vec<Cookie>,
    origins: Vec<OriginStorage>,
}

struct Cookie {
    name: String,
    value: SecretString,
    domain: String,
    path: String,
    /// Seconds since 1970; -1 for a session cookie.
    expires: f64,
    http_only: bool,
    secure: bool,
    same_site: &'static str,
}

struct OriginStorage {
    origin: String,
    items: Vec<Item>,
    /// An array of databases, as JSON.
    databases: SecretString,
}

impl OriginStorage {
    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.databases.expose_secret() == NO_DATABASES
    }
}

struct Item {
    name: String,
    value: SecretString,
}

impl StorageState {
    /// Reads the state of `page`'s browser context.
    ///
    /// With `origins`, only cookies that would be sent to one of them, and only their local
    /// storage. Without, every cookie, and the local storage of the origins `page` shows now.
    pub async fn collect(
        browser: &Browser,
        page: &Page,
        origins: Option<&[String]>,
    ) -> Result<Self, BrowserError> {
        let cookies = cookies(page, origins).await?;
        let chosen = match origins {
            Some(origins) => sites(origins),
            None => shown_origins(page).await?,
        };
        let mut stored = Vec::new();
        for site in chosen {
            let origin = site.origin().ascii_serialization();
            let known = stored.iter().any(|s: &OriginStorage| s.origin == origin);
            if known || !matches!(site.scheme(), "http" | "https") {
                continue;
            }
            let read = local::read(browser, page, origin).await?;
            if !read.is_empty() {
                stored.push(read);
            }
        }
        Ok(Self {
            cookies,
            origins: stored,
        })
    }

    /// How many cookies [`StorageState::collect`] would find.
    pub async fn count_cookies(
        page: &Page,
        origins: Option<&[String]>,
    ) -> Result<usize, BrowserError> {
        Ok(cookies(page, origins).await?.len())
    }

    /// How many cookies it holds.
    pub fn cookie_count(&self) -> usize {
        self.cookies.len()
    }

    /// Playwright's JSON, secrets in the clear: seal it, or hand it to the agent and drop it.
    pub fn to_json(&self) -> SecretString {
        // Strings, numbers, booleans and JSON that has been parsed before cannot fail.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// Counts only.
impl std::fmt::Debug for StorageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageState")
            .field("cookies", &self.cookies.len())
            .field("origins", &self.origins.len())
            .finish()
    }
}

/// The one way to the clear text, used by [`StorageState::to_json`] only.
impl Serialize for StorageState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("StorageState", 2)?;
        state.serialize_field("cookies", &self.cookies)?;
        state.serialize_field("origins", &self.origins)?;
        state.end()
    }
}

impl Serialize for Cookie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cookie = serializer.serialize_struct("Cookie", 8)?;
        cookie.serialize_field("name", &self.name)?;
        cookie.serialize_field("value", self.value.expose_secret())?;
        cookie.serialize_field("domain", &self.domain)?;
        cookie.serialize_field("path", &self.path)?;
        cookie.serialize_field("expires", &self.expires)?;
        cookie.serialize_field("httpOnly", &self.http_only)?;
        cookie.serialize_field("secure", &self.secure)?;
        cookie.serialize_field("sameSite", &self.same_site)?;
        cookie.end()
    }
}

impl Serialize for OriginStorage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let databases = RawValue::from_string(self.databases.expose_secret().to_owned())
            .map_err(S::Error::custom)?;
        let mut origin = serializer.serialize_struct("Origin", 3)?;
        origin.serialize_field("origin", &self.origin)?;
        origin.serialize_field("localStorage", &self.items)?;
        origin.serialize_field("indexedDB", &databases)?;
        origin.end()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut item = serializer.serialize_struct("Item", 2)?;
        item.serialize_field("name", &self.name)?;
        item.serialize_field("value", self.value.expose_secret())?;
        item.end()
    }
}

/// A cookie as CDP gives it.
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
            // What Chromium does with a cookie that says nothing, and what Playwright writes.
            same_site: match cookie.same_site.as_deref() {
                Some("Strict") => "Strict",
                Some("None") => "None",
                _ => "Lax",
            },
        }
    }
}

impl Cookie {
    /// Whether it would be sent to some path of `site` (RFC 6265 section 5.4).
    fn belongs_to(&self, site: &Url) -> bool {
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
}

async fn cookies(page: &Page, origins: Option<&[String]>) -> Result<Vec<Cookie>, BrowserError> {
    let mut answer = page.call("Storage.getCookies", json!({})).await?;
    let cookies = Vec::<CdpCookie>::deserialize(answer["cookies"].take())
        .map_err(|_| BrowserError::Unexpected("Storage.getCookies".to_owned()))?;
    let sites = origins.map(sites);
    let wanted = |cookie: &Cookie| {
        let sites = sites.as_deref();
        sites.is_none_or(|sites| sites.iter().any(|site| cookie.belongs_to(site)))
    };
    Ok(cookies
        .into_iter()
        .map(Cookie::from)
        .filter(wanted)
        .collect())
}

fn sites(origins: &[String]) -> Vec<Url> {
    origins.iter().filter_map(|o| Url::parse(o).ok()).collect()
}

/// The origins of the page's frames.
async fn shown_origins(page: &Page) -> Result<Vec<Url>, BrowserError> {
    let answer = page.call("Page.getFrameTree", json!({})).await?;
    let mut origins = Vec::new();
    let mut trees: Vec<&Value> = vec![&answer["frameTree"]];
    while let Some(tree) = trees.pop() {
        let url = tree["frame"]["url"].as_str().unwrap_or_default();
        origins.extend(Url::parse(url).ok());
        trees.extend(tree["childFrames"].as_array().into_iter().flatten());
    }
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(domain: &str, secure: bool) -> Cookie {
        Cookie {
            name: "sid".to_owned(),
            value: "hunter2".to_owned().into(),
            domain: domain.to_owned(),
            path: "/".to_owned(),
            expires: -1.0,
            http_only: true,
            secure,
            same_site: "Lax",
        }
    }

    #[test]
    fn cookies_are_matched_by_host_and_scheme() {
        let site = Url::parse("https://login.a.example").unwrap();
        let plain = Url::parse("http://a.example").unwrap();

        assert!(cookie(".a.example", true).belongs_to(&site));
        assert!(cookie("login.a.example", true).belongs_to(&site));
        assert!(!cookie("a.example", true).belongs_to(&site));
        assert!(!cookie(".evila.example", true).belongs_to(&site));
        assert!(!cookie("evil-a.example", false).belongs_to(&plain));
        assert!(!cookie(".a.example", true).belongs_to(&plain));
    }

    #[test]
    fn the_format_is_playwrights_and_debug_shows_no_value() {
        let state = StorageState {
            cookies: vec![cookie("a.example", true)],
            origins: vec![OriginStorage {
                origin: "https://a.example".to_owned(),
                items: vec![Item {
                    name: "k".to_owned(),
                    value: "v".to_owned().into(),
                }],
                databases: r#"[{"name":"d"}]"#.to_owned().into(),
            }],
        };

        let json: Value = serde_json::from_str(state.to_json().expose_secret()).unwrap();

        assert_eq!(
            json,
            json!({
                "cookies": [{
                    "name": "sid", "value": "hunter2", "domain": "a.example", "path": "/",
                    "expires": -1.0, "httpOnly": true, "secure": true, "sameSite": "Lax",
                }],
                "origins": [{
                    "origin": "https://a.example",
                    "localStorage": [{ "name": "k", "value": "v" }],
                    "indexedDB": [{ "name": "d" }],
                }],
            })
        );
        assert!(!format!("{state:?}").contains("hunter2"));
    }
}
