//! Stands over every page and worker while the gate is closed: what agents have left in caches and in
//! service workers is passed over, and what the user types into is remembered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use authloop_cdp::{Browser, BrowserError, CdpSessionId, EventStream, Page, TargetId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// The world of ours in each frame. Sessions have their own worlds, so it is the guard's session with a
/// target that clears its fields.
pub(super) const WORLD_NAME: &str = "authloop-clear";
/// Remembers what the user types into.
const TYPED_SCRIPT: &str = include_str!("page_guard/typed.js");

/// Most targets that may come and go before the guard has seen to them.
const MAX_WAITING_EVENTS: usize = 8192;
/// How long a target that is there may take to be attached to.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(4);

/// Sessions of the host's own with every target there is and every new one, which does not run before it
/// is guarded. Ends when dropped.
pub(super) struct PageGuard {
    shared: Arc<GuardShared>,
    /// A connection of its own: what is set up ends with it.
    _browser: Browser,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct GuardShared {
    targets: Mutex<GuardedTargets>,
    changed: Notify,
}

#[derive(Default)]
struct GuardedTargets {
    by_session: HashMap<CdpSessionId, Page>,
    /// New pages that wait, if new pages have to.
    held: Option<Vec<Page>>,
}

impl Drop for PageGuard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PageGuard {
    /// Guards a browser over `connection`, which must be for this alone.
    pub(super) async fn start(connection: Browser) -> Result<Self, BrowserError> {
        let shared = Arc::new(GuardShared::default());
        let methods = ["Target.attachedToTarget", "Target.detachedFromTarget"];
        let events = connection.subscribe_all(&methods, MAX_WAITING_EVENTS);
        let task = tokio::spawn(watch(connection.clone(), events, shared.clone()));
        let guard = Self {
            shared,
            _browser: connection.clone(),
            task,
        };
        connection
            .call("Target.setAutoAttach", auto_attach())
            .await?;
        Ok(guard)
    }

    /// The guard's session with a target; waits for it for a moment.
    pub(super) async fn session(&self, target: &TargetId) -> Result<Page, BrowserError> {
        let deadline = Instant::now() + ATTACH_TIMEOUT;
        loop {
            let changed = self.shared.changed.notified();
            if let Some(page) = self.find(target) {
                return Ok(page);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Err(BrowserError::NoSuchPage(target.to_string()));
            }
        }
    }

    fn find(&self, target: &TargetId) -> Option<Page> {
        let targets = self.shared.targets.lock();
        let mut pages = targets.by_session.values();
        pages.find(|page| page.target() == target).cloned()
    }

    /// Has new pages wait until [`PageGuard::release`].
    pub(super) fn hold(&self) {
        self.shared.targets.lock().held.get_or_insert_with(Vec::new);
    }

    /// Lets new pages run; returns whether any has waited.
    pub(super) async fn release(&self) -> bool {
        let held = self.shared.targets.lock().held.take().unwrap_or_default();
        for page in &held {
            let _gone = page
                .post("Runtime.runIfWaitingForDebugger", json!({}))
                .await;
        }
        !held.is_empty()
    }
}

fn auto_attach() -> Value {
    json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true })
}

async fn watch(browser: Browser, mut events: EventStream, shared: Arc<GuardShared>) {
    while let Some(event) = events.recv().await {
        let params = &event.params;
        let session = CdpSessionId::from(params["sessionId"].as_str().unwrap_or_default());
        if &*event.method == "Target.detachedFromTarget" {
            shared.targets.lock().by_session.remove(&session);
            continue;
        }
        let info = &params["targetInfo"];
        let text = |name: &str| info[name].as_str().unwrap_or_default();
        let target = TargetId::from(text("targetId"));
        let page = browser.auto_attached(target, session.clone());
        guard(&page, text("type")).await;
        let waits = {
            let mut targets = shared.targets.lock();
            targets.by_session.insert(session, page.clone());
            let is_page = text("type") == "page" && params["waitingForDebugger"] == true;
            let held = targets.held.as_mut().filter(|_| is_page);
            held.map(|held| held.push(page.clone())).is_some()
        };
        shared.changed.notify_waiters();
        if !waits {
            let _gone = page
                .post("Runtime.runIfWaitingForDebugger", json!({}))
                .await;
        }
        if events.take_lost() > 0 {
            // They wait for ever then, which is the safe side.
            tracing::error!("more targets came than the gate's guard could see to");
        }
    }
}

/// Sets one target up; commands of one session are carried out in order.
async fn guard(page: &Page, kind: &str) {
    let mut commands = vec![
        // Bodies are for nobody to read.
        (
            "Network.enable",
            json!({ "maxTotalBufferSize": 0, "maxResourceBufferSize": 0 }),
        ),
        // Renderers keep scripts, as agents have answered them.
        ("Network.setCacheDisabled", json!({ "cacheDisabled": true })),
        ("Network.setBypassServiceWorker", json!({ "bypass": true })),
        ("Target.setAutoAttach", auto_attach()),
    ];
    if matches!(kind, "page" | "iframe") {
        let script = json!({ "source": TYPED_SCRIPT, "worldName": WORLD_NAME });
        commands.push(("Page.enable", json!({})));
        commands.push(("Page.addScriptToEvaluateOnNewDocument", script));
    }
    for (method, params) in commands {
        let _gone = page.post(method, params).await;
    }
}
