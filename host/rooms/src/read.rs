//! Reading a browser context: cookies from the browser process, what sites store on an empty page.

use std::collections::BTreeSet;

use authloop_cdp::{Browser, BrowserError, Page, TargetId, frames_in};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use url::Url;

use crate::{
    bundle::{Bundle, Cookie, Item, NO_DATABASES, OriginStorage, cookies_from_cdp},
    empty_page::{ARRAYS, EmptyPage, unexpected},
    grant::Grant,
};

/// Gives the databases as JSON, in Playwright's format.
const INDEXED_DB_SCRIPT: &str = include_str!("read-indexeddb.js");
/// Gives both storages as JSON.
const STORAGES_SCRIPT: &str =
    "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])";
/// Gives the storage of the tab, where the document has one.
const SESSION_SCRIPT: &str = "JSON.stringify([location.origin, Object.entries(sessionStorage)])";
/// The world in which a site's document is asked for its session storage: out of its scripts' reach.
const WORLD_NAME: &str = "authloop-session";
/// The most origins of which storage is read; a sign-in touches a handful.
const MAX_ORIGINS: usize = 64;

impl Bundle {
    /// Reads all that moves of `page`'s browser context under `grant`, on `page` itself, which shows an empty
    /// document afterwards: for a room, which ends with it. `expected` are origins to look at besides those
    /// in the history of `tabs`.
    ///
    /// # Errors
    /// What the browser says against it; one origin that cannot be read is an error, since a session that
    /// moves in part is worse than one that does not.
    pub async fn take_from_room(
        browser: &Browser,
        page: &Page,
        tabs: &[Page],
        expected: &[String],
        grant: &Grant,
    ) -> Result<Self, BrowserError> {
        let cookies = cookies(page).await?;
        let mut origins = BTreeSet::new();
        for tab in tabs.iter().chain([page]) {
            // A tab that has just closed has nothing to tell.
            origins.extend(visited_origins(tab).await.unwrap_or_default());
        }
        origins.extend(expected.iter().cloned());
        let mut bundle = Self {
            cookies,
            origins: Vec::new(),
        };
        let empty = EmptyPage::take(browser, page).await?;
        for origin in origins
            .iter()
            .filter(|origin| grant.covers_origin(origin))
            .take(MAX_ORIGINS)
        {
            bundle
                .origins
                .push(OriginStorage::read(&empty, origin).await?);
        }
        bundle.keep_granted(grant);
        Ok(bundle)
    }

    /// Reads all that moves of the context of an agent's `page` under `grant`, and leaves the page alone:
    /// storage is read in a page of its own, session storage in the documents that `page` shows.
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn read_beside(
        browser: &Browser,
        page: &Page,
        grant: &Grant,
    ) -> Result<Self, BrowserError> {
        let cookies = cookies(page).await?;
        let sessions = session_storages(page).await?;
        let origins: BTreeSet<String> = visited_origins(page)
            .await?
            .into_iter()
            .filter(|origin| grant.covers_origin(origin))
            .take(MAX_ORIGINS)
            .collect();
        let mut bundle = Self {
            cookies,
            origins: read_origins(browser, page, &origins).await?,
        };
        for (origin, items) in sessions {
            if let Some(storage) = bundle.origins.iter_mut().find(|read| read.origin == origin) {
                storage.session = items;
            }
        }
        bundle.keep_granted(grant);
        Ok(bundle)
    }

    /// Reads the storage state of `page`'s browser context.
    ///
    /// With `origins`, only cookies that would be sent to one of them, and only their storage. Without, every
    /// cookie, and the storage of the origins that `page` shows now. Session storage is not part of it.
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn collect(
        browser: &Browser,
        page: &Page,
        origins: Option<&[String]>,
    ) -> Result<Self, BrowserError> {
        let cookies = cookies_of(page, origins).await?;
        let origins = match origins {
            Some(origins) => sites(origins)
                .iter()
                .filter(|site| matches!(site.scheme(), "http" | "https"))
                .map(|site| site.origin().ascii_serialization())
                .collect(),
            None => shown_origins(page).await?,
        };
        Ok(Self {
            cookies,
            origins: read_origins(browser, page, &origins).await?,
        })
    }

    /// How many cookies [`Bundle::collect`] would find.
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn count_cookies(
        page: &Page,
        origins: Option<&[String]>,
    ) -> Result<usize, BrowserError> {
        Ok(cookies_of(page, origins).await?.len())
    }
}

impl OriginStorage {
    /// Reads all that `origin` stores, and the tab's session storage of it.
    pub(crate) async fn read(empty: &EmptyPage, origin: &str) -> Result<Self, BrowserError> {
        empty.show(origin).await?;
        let answer = empty.evaluate(STORAGES_SCRIPT).await?;
        let text = SecretString::from(answer.as_str().unwrap_or_default());
        let [local, session] = serde_json::from_str::<[Vec<Entry>; 2]>(text.expose_secret())
            .map_err(|_| unexpected("Runtime.evaluate"))?;
        let databases = databases(empty.call(INDEXED_DB_SCRIPT, ARRAYS).await?);
        Ok(Self {
            origin: origin.to_owned(),
            local: items(local),
            session: items(session),
            databases,
        })
    }
}

/// Every cookie of the page's browser context.
pub(crate) async fn cookies(page: &Page) -> Result<Vec<Cookie>, BrowserError> {
    // `Storage.getCookies` of a page's session reads the browser's default context, whatever the page's is.
    let answer = page.call("Network.getAllCookies", json!({})).await?;
    cookies_from_cdp(answer).ok_or_else(|| unexpected("Network.getAllCookies"))
}

async fn cookies_of(page: &Page, origins: Option<&[String]>) -> Result<Vec<Cookie>, BrowserError> {
    let mut cookies = cookies(page).await?;
    if let Some(origins) = origins {
        let sites = sites(origins);
        cookies.retain(|cookie| sites.iter().any(|site| cookie.belongs_to(site)));
    }
    Ok(cookies)
}

/// Reads origins in a page of our own in `page`'s browser context.
async fn read_origins(
    browser: &Browser,
    page: &Page,
    origins: &BTreeSet<String>,
) -> Result<Vec<OriginStorage>, BrowserError> {
    if origins.is_empty() {
        return Ok(Vec::new());
    }
    let mut params = json!({ "url": "about:blank", "background": true });
    if let Some(context) = context_of(page).await? {
        params["browserContextId"] = context.into();
    }
    let created = browser.call("Target.createTarget", params).await?;
    let target = created["targetId"].as_str().map(TargetId::from);
    let target = target.ok_or_else(|| unexpected("Target.createTarget"))?;
    let reading = async {
        let reader = browser.attach(&target).await?;
        let empty = EmptyPage::take(browser, &reader).await?;
        let mut read = Vec::new();
        for origin in origins {
            let mut storage = OriginStorage::read(&empty, origin).await?;
            // The tab that was opened for this has none of its own.
            storage.session.clear();
            read.push(storage);
        }
        Ok(read)
    };
    let read = tokio::select! {
        read = reading => read,
        error = browser.ended() => Err(error),
    };
    let close = json!({ "targetId": target.as_str() });
    let _closed_with_the_browser = browser.call("Target.closeTarget", close).await;
    browser.forget(&target).await;
    read
}

/// The page's browser context; `None` for the default one of a browser that names none.
pub(crate) async fn context_of(page: &Page) -> Result<Option<String>, BrowserError> {
    let info = page.call("Target.getTargetInfo", json!({})).await?;
    let context = info["targetInfo"]["browserContextId"].as_str();
    Ok(context.map(str::to_owned))
}

/// The origins of the page's frames.
async fn shown_origins(page: &Page) -> Result<BTreeSet<String>, BrowserError> {
    let answer = page.call("Page.getFrameTree", json!({})).await?;
    Ok(frames_in(&answer)
        .into_iter()
        .filter_map(|frame| web_origin(frame["url"].as_str()?))
        .collect())
}

/// The origins of the page's frames and of its history.
async fn visited_origins(page: &Page) -> Result<BTreeSet<String>, BrowserError> {
    let mut origins = shown_origins(page).await?;
    let history = page.call("Page.getNavigationHistory", json!({})).await?;
    let entries = history["entries"].as_array().into_iter().flatten();
    origins.extend(entries.filter_map(|entry| web_origin(entry["url"].as_str()?)));
    Ok(origins)
}

/// The session storage of each document that the page shows, by origin.
async fn session_storages(page: &Page) -> Result<Vec<(String, Vec<Item>)>, BrowserError> {
    let answer = page.call("Page.getFrameTree", json!({})).await?;
    let mut storages = Vec::new();
    for frame in frames_in(&answer) {
        // A frame in another process is not this session's, and a sandboxed one has no storage.
        let Ok(world) = page.isolated_world(frame, WORLD_NAME).await else {
            continue;
        };
        let answer = page.evaluate_in(world, SESSION_SCRIPT).await?;
        let text = SecretString::from(answer.as_str().unwrap_or_default());
        if let Ok((origin, entries)) =
            serde_json::from_str::<(String, Vec<Entry>)>(text.expose_secret())
        {
            storages.push((origin, items(entries)));
        }
    }
    Ok(storages)
}

fn web_origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let web = matches!(url.scheme(), "http" | "https");
    web.then(|| url.origin().ascii_serialization())
}

fn sites(origins: &[String]) -> Vec<Url> {
    origins.iter().filter_map(|o| Url::parse(o).ok()).collect()
}

/// `Object.entries` of a storage.
#[derive(Deserialize)]
struct Entry(String, SecretString);

fn items(entries: Vec<Entry>) -> Vec<Item> {
    let item = |Entry(name, value)| Item { name, value };
    entries.into_iter().map(item).collect()
}

/// What the script gave. Databases that cannot be read are left out: the rest is worth having.
fn databases(answer: Value) -> SecretString {
    #[derive(Deserialize)]
    struct Read {
        databases: SecretString,
        skipped: u32,
    }
    match Read::deserialize(answer) {
        Ok(Read { databases, skipped })
            if serde_json::from_str::<IgnoredAny>(databases.expose_secret()).is_ok() =>
        {
            if skipped > 0 {
                tracing::warn!(skipped, "databases or records were left out");
            }
            databases
        }
        _ => {
            tracing::warn!("the databases could not be read");
            NO_DATABASES.into()
        }
    }
}
