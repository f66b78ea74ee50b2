//! Gives every page a new document, with a barrier between: nothing new is loaded before every old
//! document is gone, so that no script of an old one reaches a new one.

use std::{collections::HashSet, time::Duration};

use authloop_cdp::{Browser, BrowserError, Page, TargetId};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Target, targets};
use crate::page_guard::PageGuard;

/// How long a page may take to give way before its renderer is ended.
const GIVE_WAY_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a renderer may take to say that it tells of its documents.
const ENABLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a renderer may take to end.
const CRASH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a page's new document may take to come before the handoff goes on without it.
const LOAD_TIMEOUT: Duration = Duration::from_secs(8);
/// How often pages that came meanwhile are looked for.
const MAX_ROUNDS: usize = 8;
/// How often a page is asked to give way; its renderer is ended in between.
const MAX_ATTEMPTS: usize = 3;

/// Events that tell how a navigation fares.
const NAVIGATION_EVENTS: [&str; 2] = ["Page.frameNavigated", "Page.javascriptDialogOpening"];

/// Takes every page's document away, and returns what pages there are.
///
/// # Errors
/// A page does not give way, or there is no end to them.
pub(super) async fn blank_all(
    browser: &Browser,
    guard: &PageGuard,
) -> Result<Vec<Target>, BrowserError> {
    let mut all: Vec<Target> = Vec::new();
    let mut blank: HashSet<TargetId> = HashSet::new();
    guard.hold();
    for _ in 0..MAX_ROUNDS {
        let mut found = targets(browser, &["page"]).await?;
        found.retain(|page| !blank.contains(&page.id));
        // They can only give way once they run; no page has a document of the user's yet.
        let waited = guard.release().await;
        guard.hold();
        if found.is_empty() && !waited {
            guard.release().await;
            return Ok(all);
        }
        blank_each(guard, &found).await?;
        blank.extend(found.iter().map(|page| page.id.clone()));
        all.extend(found);
    }
    guard.release().await;
    Err(BrowserError::Unexpected("Target.getTargets".to_owned()))
}

/// Loads each page's own address again, past all caches. Addresses that stand for what a script has made
/// stay blank.
pub(super) async fn load_all(guard: &PageGuard, pages: &[Target]) {
    join_all(pages.iter().map(|page| load(guard, page))).await;
}

/// Gives one page a new document; false if it does not give way.
pub(super) async fn renew(guard: &PageGuard, page: &Target) -> bool {
    let blank = blank_each(guard, std::slice::from_ref(page)).await.is_ok();
    if blank {
        load(guard, page).await;
    }
    blank
}

async fn blank_each(guard: &PageGuard, pages: &[Target]) -> Result<(), BrowserError> {
    let mut left: Vec<&Target> = pages.iter().collect();
    for attempt in 1..=MAX_ATTEMPTS {
        let gone = join_all(left.iter().map(|page| blank_page(guard, page))).await;
        let mut given_way = gone.into_iter();
        left.retain(|_| !given_way.next().unwrap_or_default());
        if left.is_empty() {
            return Ok(());
        }
        if attempt < MAX_ATTEMPTS {
            // Whatever runs there must not see what the user types. Pages share renderers, so all
            // that are left are asked again.
            tracing::warn!(
                pages = left.len(),
                "pages do not give way; their renderers are ended"
            );
            join_all(left.iter().map(|page| end_renderer(guard, page))).await;
        }
    }
    Err(BrowserError::Timeout("Page.navigate".to_owned()))
}

/// Whether a page has a document of ours, or is gone.
async fn blank_page(guard: &PageGuard, target: &Target) -> bool {
    let Ok(page) = guard.session(&target.id).await else {
        return true;
    };
    let gone = timeout(GIVE_WAY_TIMEOUT, navigate(&page, "about:blank")).await;
    match gone {
        Ok(Ok(Navigation::Committed)) => {
            // What an agent left in the page's history would be a step back away.
            let _gone = page.post("Page.resetNavigationHistory", json!({})).await;
            true
        }
        Ok(Err(_)) => guard.session(&target.id).await.is_err(),
        Ok(Ok(Navigation::Refused)) | Err(_) => false,
    }
}

async fn end_renderer(guard: &PageGuard, target: &Target) {
    let Ok(page) = guard.session(&target.id).await else {
        return;
    };
    let mut events = page.subscribe(&["Inspector.targetCrashed"], 4);
    let _gone = page.post("Inspector.enable", json!({})).await;
    let _gone = page.post("Page.crash", json!({})).await;
    let _slow = timeout(CRASH_TIMEOUT, events.recv()).await;
}

async fn load(guard: &PageGuard, target: &Target) {
    let has_address = ["http:", "https:", "data:"];
    if !has_address
        .iter()
        .any(|scheme| target.url.starts_with(scheme))
    {
        return;
    }
    let Ok(page) = guard.session(&target.id).await else {
        return;
    };
    match timeout(LOAD_TIMEOUT, navigate(&page, &target.url)).await {
        Ok(Ok(Navigation::Committed)) => {
            let _gone = page.post("Page.resetNavigationHistory", json!({})).await;
        }
        // It is blank until its server answers, or stays so.
        _ => tracing::warn!("a page's new document does not come"),
    }
}

enum Navigation {
    /// The page has the document that was asked for.
    Committed,
    /// The page keeps the document that it had.
    Refused,
}

/// Waits for the document that was asked for, by its loader: not for one that an agent had asked for
/// before. No dialog holds it up.
async fn navigate(page: &Page, url: &str) -> Result<Navigation, BrowserError> {
    let mut events = page.subscribe(&NAVIGATION_EVENTS, 256);
    let mut committed: HashSet<String> = HashSet::new();
    // Answered by the renderer: what comes before that, it may not tell of. One that has crashed or
    // hangs does not answer; the next one tells.
    let enabled = page.call("Page.enable", json!({}));
    let _hangs = timeout(ENABLE_TIMEOUT, enabled).await;
    let params = json!({ "url": url });
    let answer = page.begin("Page.navigate", params).await?;
    tokio::pin!(answer);
    let mut loader: Option<String> = None;
    loop {
        if loader
            .as_ref()
            .is_some_and(|loader| committed.contains(loader))
        {
            return Ok(Navigation::Committed);
        }
        tokio::select! {
            answer = &mut answer, if loader.is_none() => {
                let answer: Value = answer?;
                match answer["loaderId"].as_str() {
                    Some(id) if answer["errorText"].is_null() => loader = Some(id.to_owned()),
                    _ => return Ok(Navigation::Refused),
                }
            }
            event = events.recv() => {
                let Some(event) = event else {
                    return Err(BrowserError::NoSuchPage(page.target().to_string()));
                };
                let params = &event.params;
                if &*event.method == "Page.javascriptDialogOpening" {
                    let _gone = page.notify("Page.handleJavaScriptDialog", json!({ "accept": true }));
                } else if params["frame"]["parentId"].is_null()
                    && let Some(id) = params["frame"]["loaderId"].as_str()
                {
                    committed.insert(id.to_owned());
                }
            }
        }
    }
}
