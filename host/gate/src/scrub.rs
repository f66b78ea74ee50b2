//! Scrubs the browser itself: at the closing of what an agent may have left in its pages, before the
//! opening of what the user leaves there.

mod fields;

use std::{collections::HashMap, time::Duration};

use authloop_cdp::{Browser, BrowserError, EventStream, Page, TargetId};
use authloop_gate_core::PreservedSetting;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long a page may take to show a new document before its renderer is ended.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a renderer may take to end.
const CRASH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the browser may take to name its service workers.
const WORKER_LIST_TIMEOUT: Duration = Duration::from_secs(4);
/// After this long without news, it has named them all.
const WORKER_LIST_QUIET_PERIOD: Duration = Duration::from_millis(150);
/// How long one page may take to be cleared; a page that hangs cannot be read either.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(5);
/// Most targets that are scrubbed; more are a page's attack on us.
const MAX_TARGETS: usize = 500;

/// Copies a blank over what is in the clipboard, without asking any page or permission.
const OVERWRITE_CLIPBOARD_SCRIPT: &str = "(() => { const t = document.createElement('textarea'); \
    t.value = ' '; document.body.append(t); t.select(); return document.execCommand('copy'); })()";

/// Events that tell how a new document fares.
const RELOAD_EVENTS: [&str; 4] = [
    "Inspector.targetCrashed",
    "Page.frameNavigated",
    "Page.frameStartedNavigating",
    "Page.javascriptDialogOpening",
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

/// Gives every page a new document, in which no script of an agent's has run.
pub(super) async fn reload_pages(browser: &Browser) -> Result<(), BrowserError> {
    let pages = targets(browser, &["page"]).await?;
    let mut contexts: HashMap<&str, &Target> = HashMap::new();
    for page in &pages {
        contexts.entry(&page.context).or_insert(page);
    }
    if !reload_all(browser, &pages).await {
        // Pages share renderers: a page that shared one that was ended is reloaded as well.
        reload_all(browser, &pages).await;
    }
    // A reload past the cache goes past workers as well, so the new documents have none; what comes
    // next must not meet them either. The site brings its own again.
    join_all(
        contexts
            .values()
            .map(|page| unregister_workers(browser, &page.id)),
    )
    .await;
    Ok(())
}

/// Whether every page gave way; the renderers of those that did not are ended.
async fn reload_all(browser: &Browser, pages: &[Target]) -> bool {
    let reloaded = join_all(pages.iter().map(|page| reload_page(browser, page))).await;
    reloaded.into_iter().all(|reloaded| reloaded)
}

/// Has every page go past service workers, by sessions that [`end_preserving`] ends.
pub(super) async fn bypass_workers(browser: &Browser) -> Result<Vec<Page>, BrowserError> {
    let mut bypassing = Vec::new();
    for target in targets(browser, &["page"]).await? {
        let Ok(page) = browser.session(&target.id).await else {
            continue;
        };
        let bypass = json!({ "bypass": true });
        let _gone = page.post("Network.enable", json!({})).await;
        let _gone = page.post("Network.setBypassServiceWorker", bypass).await;
        bypassing.push(page);
    }
    Ok(bypassing)
}

async fn reload_page(browser: &Browser, target: &Target) -> bool {
    let Ok(page) = browser.session(&target.id).await else {
        // It has closed.
        return true;
    };
    let mut events = page.subscribe(&RELOAD_EVENTS, 256);
    // These have no address to load from, but the origin of whoever made them.
    let made = ["about:", "blob:", "filesystem:", "javascript:"];
    let blank = target.url.is_empty() || made.iter().any(|scheme| target.url.starts_with(scheme));
    let (method, params) = if blank {
        ("Page.navigate", json!({ "url": "about:blank" }))
    } else {
        ("Page.reload", json!({ "ignoreCache": true }))
    };
    let reloaded = async {
        // A dialog that is open already would hold everything up.
        let accept = json!({ "accept": true });
        let _none = page.post("Page.handleJavaScriptDialog", accept).await;
        let _gone = page.post("Inspector.enable", json!({})).await;
        // Answered by the renderer: what begins before that, it may not tell of.
        let _gone = page.call("Page.enable", json!({})).await;
        let _gone = page.post(method, params).await;
        wait_for_new_document(&page, &target.id, blank, &mut events).await;
    };
    let reloaded = timeout(RELOAD_TIMEOUT, reloaded).await.is_ok();
    if !reloaded {
        // Whatever runs there, or waits there for its server, must not see what the user types.
        tracing::warn!("a page does not give way to a new document; its renderer is ended");
        let _gone = page.post("Page.crash", json!({})).await;
        let crashed = async {
            while let Some(event) = events.recv().await {
                if &*event.method == "Inspector.targetCrashed" {
                    return;
                }
            }
        };
        let _slow = timeout(CRASH_TIMEOUT, crashed).await;
    }
    page.detach().await;
    reloaded
}

/// Waits for the document that was asked for, not for one that an agent had asked for before; no
/// dialog holds it up.
async fn wait_for_new_document(page: &Page, id: &TargetId, blank: bool, events: &mut EventStream) {
    let mut loader = None;
    while let Some(event) = events.recv().await {
        let params = &event.params;
        match &*event.method {
            "Page.javascriptDialogOpening" => {
                let _gone = page.notify("Page.handleJavaScriptDialog", json!({ "accept": true }));
            }
            "Page.frameStartedNavigating" if params["frameId"] == id.as_str() => {
                let kind = params["navigationType"].as_str().unwrap_or_default();
                let ours = if blank {
                    params["url"] == "about:blank"
                } else {
                    kind.starts_with("reload")
                };
                loader = ours.then(|| params["loaderId"].clone());
            }
            "Page.frameNavigated" if loader.as_ref() == Some(&params["frame"]["loaderId"]) => {
                return;
            }
            _ => {}
        }
    }
}

async fn unregister_workers(browser: &Browser, page: &TargetId) {
    let Ok(page) = browser.session(page).await else {
        return;
    };
    let mut events = page.subscribe(&["ServiceWorker.workerRegistrationUpdated"], 64);
    let unregistered = async {
        page.call("ServiceWorker.enable", json!({})).await?;
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

/// Clears what the user has left behind: typed fields, histories, consoles, caches, the clipboard.
pub(super) async fn clear(browser: &Browser) -> Result<(), BrowserError> {
    let kinds = [
        "page",
        "iframe",
        "worker",
        "shared_worker",
        "service_worker",
    ];
    let targets = targets(browser, &kinds).await?;
    let mut caches: HashMap<&str, bool> = HashMap::new();
    let firsts: Vec<(&Target, bool)> = targets
        .iter()
        .map(|target| {
            let first = target.kind == "page" && caches.insert(&target.context, true).is_none();
            (target, first)
        })
        .collect();
    let cleared = firsts.into_iter().map(|(target, first)| async move {
        let clearing = clear_target(browser, target, first);
        match timeout(CLEAR_TIMEOUT, clearing).await {
            Ok(Ok(())) => {}
            Ok(Err(BrowserError::NoSuchPage(_))) => {}
            // What cannot be cleared must not be read either.
            Ok(Err(error)) if error.is_fatal() => {}
            Ok(Err(error)) => {
                tracing::warn!(kind = target.kind, %error, "a page could not be cleared and is ended");
                end_target(browser, target).await;
            }
            Err(_) => {
                tracing::warn!(kind = target.kind, "a page does not let itself be cleared and is ended");
                end_target(browser, target).await;
            }
        }
    });
    join_all(cleared).await;
    clear_clipboard(browser).await
}

async fn clear_target(browser: &Browser, target: &Target, first: bool) -> Result<(), BrowserError> {
    let session = browser.session(&target.id).await?;
    let done = async {
        if matches!(target.kind.as_str(), "page" | "iframe") {
            // A frame may go while its turn comes; the second time it is not there to begin with.
            if fields::clear(&session).await.is_err() {
                fields::clear(&session).await?;
            }
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

/// A page that could not be cleared is given a new document, a worker is ended.
async fn end_target(browser: &Browser, target: &Target) {
    if target.kind == "page" {
        let pages = std::slice::from_ref(target);
        if !reload_all(browser, pages).await {
            reload_all(browser, pages).await;
        }
    } else if let Ok(session) = browser.session(&target.id).await {
        let _gone = session.post("Page.crash", json!({})).await;
        session.detach().await;
    }
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
    Ok(wanted.take(MAX_TARGETS).collect())
}
