//! Scrubs the browser itself: at the closing of what an agent may have left in its pages, before the
//! opening of what the user leaves there.

mod fields;
mod renewal;

use std::{collections::HashMap, time::Duration};

use authloop_cdp::{Browser, BrowserError, Page, TargetId};
use authloop_gate_core::{PreservedSetting, is_web_target};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::page_guard::PageGuard;

/// How long the browser may take to name its service workers.
const WORKER_LIST_TIMEOUT: Duration = Duration::from_secs(4);
/// After this long without news, it has named them all.
const WORKER_LIST_QUIET_PERIOD: Duration = Duration::from_millis(150);
/// How long one page may take to be cleared; a page that hangs cannot be read either.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(10);
/// Most targets that are looked after; more are a page's attack on us.
const MAX_TARGETS: usize = 500;

/// Copies a blank over what is in the clipboard, without asking any page or permission.
const OVERWRITE_CLIPBOARD_SCRIPT: &str = "(() => { const t = document.createElement('textarea'); \
    t.value = ' '; document.body.append(t); t.select(); return document.execCommand('copy'); })()";

/// Targets that may hold or tell something of what the user did.
const CLEARED_TYPES: [&str; 5] = [
    "page",
    "iframe",
    "worker",
    "shared_worker",
    "service_worker",
];

struct Target {
    id: TargetId,
    kind: String,
    url: String,
    context: String,
}

/// Keeps settings in force by sessions of the host's own; dropping the list does not end them, see
/// [`end_preserving`].
pub(super) async fn preserve_settings(
    browser: &Browser,
    settings: Vec<PreservedSetting>,
) -> Vec<Page> {
    let mut pages: HashMap<String, Page> = HashMap::new();
    for setting in settings {
        let PreservedSetting {
            target,
            method,
            params,
        } = setting;
        if !pages.contains_key(&target)
            && let Ok(page) = browser.session(&TargetId::from(target.as_str())).await
        {
            pages.insert(target.clone(), page);
        }
        if let Some(page) = pages.get(&target) {
            let _gone = page.post(&method, params).await;
        }
    }
    pages.into_values().collect()
}

/// Ends what [`preserve_settings`] began.
pub(super) async fn end_preserving(sessions: Vec<Page>) {
    for page in sessions {
        page.detach().await;
    }
}

/// Gives every page a new document, in which no script of an agent's has run, once nothing of the old
/// ones is left.
pub(super) async fn renew_pages(browser: &Browser, guard: &PageGuard) -> Result<(), BrowserError> {
    let pages = renewal::blank_all(browser, guard).await?;
    let mut contexts: HashMap<&str, &Target> = HashMap::new();
    for page in &pages {
        contexts.entry(&page.context).or_insert(page);
    }
    // Nothing is loaded before: a worker might answer it. The site brings its own again.
    join_all(
        contexts
            .values()
            .map(|page| unregister_workers(browser, &page.id)),
    )
    .await;
    renewal::load_all(guard, &pages).await;
    Ok(())
}

/// Closes what agents may not attach to and must not have left open: pages of the browser's own.
pub(super) async fn close_own_pages(browser: &Browser) -> Result<(), BrowserError> {
    let answer = browser.call("Target.getTargets", json!({})).await?;
    let infos = answer["targetInfos"].as_array();
    let pages = infos.into_iter().flatten();
    let (web, own): (Vec<&Value>, Vec<&Value>) = pages
        .filter(|info| info["type"] == "page")
        .partition(|info| is_web_target(info));
    if web.is_empty() && !own.is_empty() {
        // Without a page the browser ends.
        let blank = json!({ "url": "about:blank" });
        browser.call("Target.createTarget", blank).await?;
    }
    for info in own {
        let target = json!({ "targetId": info["targetId"] });
        let _gone = browser.call("Target.closeTarget", target).await;
    }
    Ok(())
}

async fn unregister_workers(browser: &Browser, page: &TargetId) {
    let Ok(page) = browser.session(page).await else {
        return;
    };
    let mut events = page.subscribe(&["ServiceWorker.workerRegistrationUpdated"], 64);
    let unregistered = async {
        page.call("ServiceWorker.enable", json!({})).await?;
        page.call("ServiceWorker.stopAllWorkers", json!({})).await?;
        // The first event names what is stored, and comes even if that is nothing.
        let mut time_limit = WORKER_LIST_TIMEOUT;
        while let Ok(Some(event)) = timeout(time_limit, events.recv()).await {
            let found = event.params["registrations"].as_array();
            for registration in found.into_iter().flatten() {
                if registration["isDeleted"] != true {
                    let scope = json!({ "scopeURL": registration["scopeURL"] });
                    page.call("ServiceWorker.unregister", scope).await?;
                }
            }
            time_limit = WORKER_LIST_QUIET_PERIOD;
        }
        Ok::<_, BrowserError>(())
    };
    if let Err(error) = unregistered.await {
        tracing::warn!(%error, "service workers could not be unregistered");
    }
    page.detach().await;
}

/// Clears what the user has left behind: typed fields, forms that were sent, histories, consoles, caches,
/// the clipboard. Without `keep_documents`, every page gets a new document as well.
///
/// # Errors
/// Something could not be cleared, or is too much to be: agents must not have the browser then.
pub(super) async fn clear(
    browser: &Browser,
    guard: &PageGuard,
    keep_documents: bool,
) -> Result<(), BrowserError> {
    let kinds: &[&str] = if keep_documents && targets(browser, &CLEARED_TYPES).await.is_ok() {
        &CLEARED_TYPES
    } else {
        // All else ends with the documents.
        renew_pages(browser, guard).await?;
        &["page"]
    };
    let targets = targets(browser, kinds).await?;
    let mut caches: HashMap<&str, bool> = HashMap::new();
    let firsts: Vec<(&Target, bool)> = targets
        .iter()
        .map(|target| {
            let first = target.kind == "page" && caches.insert(&target.context, true).is_none();
            (target, first)
        })
        .collect();
    let cleared = firsts.into_iter().map(|(target, first)| async move {
        let clearing = clear_target(browser, guard, target, first);
        let error = match timeout(CLEAR_TIMEOUT, clearing).await {
            Ok(Ok(()) | Err(BrowserError::NoSuchPage(_))) => return true,
            // What cannot be cleared must not be read either.
            Ok(Err(error)) if error.is_fatal() => return false,
            Ok(Err(error)) => error,
            Err(_) => BrowserError::Timeout("Runtime.evaluate".to_owned()),
        };
        tracing::warn!(kind = target.kind, %error, "a page could not be cleared and is ended");
        end_target(browser, guard, target).await
    });
    if !join_all(cleared).await.into_iter().all(|cleared| cleared) {
        return Err(BrowserError::Timeout("Page.navigate".to_owned()));
    }
    clear_clipboard(browser).await
}

async fn clear_target(
    browser: &Browser,
    guard: &PageGuard,
    target: &Target,
    first: bool,
) -> Result<(), BrowserError> {
    if matches!(target.kind.as_str(), "page" | "iframe") {
        // The session that was there when the document came.
        let page = guard.session(&target.id).await?;
        // A frame may go while its turn comes; the second time it is not there to begin with.
        if fields::clear(&page).await.is_err() {
            fields::clear(&page).await?;
        }
    }
    let session = browser.session(&target.id).await?;
    let done = async {
        if matches!(target.kind.as_str(), "page" | "iframe") {
            session.call("Log.clear", json!({})).await?;
        }
        session
            .call("Runtime.discardConsoleEntries", json!({}))
            .await?;
        if target.kind == "page" {
            // Entries left behind remember what was in their fields.
            session
                .call("Page.resetNavigationHistory", json!({}))
                .await?;
        }
        if first {
            session.call("Network.clearBrowserCache", json!({})).await?;
        }
        Ok(())
    };
    let done = done.await;
    session.detach().await;
    done
}

/// A page that could not be cleared is given a new document, a frame or worker is ended; false if that
/// fails.
async fn end_target(browser: &Browser, guard: &PageGuard, target: &Target) -> bool {
    if target.kind == "page" {
        return renewal::renew(guard, target).await;
    }
    if let Ok(session) = browser.session(&target.id).await {
        let _gone = session.post("Page.crash", json!({})).await;
        session.detach().await;
    }
    true
}

async fn clear_clipboard(browser: &Browser) -> Result<(), BrowserError> {
    let params = json!({ "url": "about:blank", "background": true });
    let answer = browser.call("Target.createTarget", params).await?;
    let Some(target) = answer["targetId"].as_str().map(TargetId::from) else {
        return Err(BrowserError::Unexpected("Target.createTarget".to_owned()));
    };
    let overwritten = async {
        let page = browser.session(&target).await?;
        let focus = json!({ "enabled": true });
        page.call("Emulation.setFocusEmulationEnabled", focus)
            .await?;
        let script = json!({ "expression": OVERWRITE_CLIPBOARD_SCRIPT, "userGesture": true });
        let answer = page.call("Runtime.evaluate", script).await?;
        if answer["result"]["value"] != true {
            tracing::warn!("the clipboard could not be overwritten");
        }
        Ok(())
    };
    let overwritten = overwritten.await;
    let gone = json!({ "targetId": target.as_str() });
    browser.call("Target.closeTarget", gone).await?;
    overwritten
}

/// The targets of these types.
///
/// # Errors
/// [`BrowserError::Unexpected`] if there are more than can be looked after.
async fn targets(browser: &Browser, kinds: &[&str]) -> Result<Vec<Target>, BrowserError> {
    let answer = browser
        .call("Target.getTargets", json!({ "filter": [{}] }))
        .await?;
    let infos = answer["targetInfos"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |info: &Value, name: &str| info[name].as_str().unwrap_or_default().to_owned();
    let wanted = infos.iter().filter_map(|info| {
        let kind = text(info, "type");
        kinds.contains(&kind.as_str()).then(|| Target {
            id: TargetId::from(text(info, "targetId").as_str()),
            kind,
            url: text(info, "url"),
            context: text(info, "browserContextId"),
        })
    });
    let wanted: Vec<Target> = wanted.collect();
    if wanted.len() > MAX_TARGETS {
        tracing::warn!(
            targets = wanted.len(),
            "more targets than the gate looks after"
        );
        return Err(BrowserError::Unexpected("Target.getTargets".to_owned()));
    }
    Ok(wanted)
}
