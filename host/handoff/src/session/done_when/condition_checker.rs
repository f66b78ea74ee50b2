//! Asks the browser about each condition. Nothing that the page's scripts can reach has a say: the
//! address and the cookies come from the browser process, the selector runs in a world of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use authloop_browser::View;
use authloop_cdp::{BrowserError, Page};
use authloop_done_when::{
    Condition, ConditionState, CookieCondition, DoneWhen, Finding, NetworkCondition,
};
use authloop_protocol::output::Verdict;
use authloop_rooms::Grant;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use url::Url;

/// How long a check of all conditions may take; a page that hangs must not hold the user.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// After Done the page may still be on its way to where it shows the sign-in.
const GRACE_PERIOD: Duration = Duration::from_secs(3);
/// Between two checks within [`GRACE_PERIOD`].
const RECHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Responses that may wait to be looked at.
const MAX_RESPONSES: usize = 1024;
const WORLD_NAME: &str = "authloop-verdict";
/// Whether the document has a field with a secret in it.
const FILLED_SECRET_SCRIPT: &str = "[...document.querySelectorAll('input')].some((field) => \
    field.value !== '' && field.type !== 'hidden' && (field.type === 'password' || \
    /current-password|new-password|one-time-code|cc-/.test(field.autocomplete)))";

type ConditionReport = (ConditionState, String);

pub(in crate::session) struct ConditionChecker {
    done_when: DoneWhen,
    view: watch::Receiver<View>,
    /// In a private room: conditions are judged in documents of these sites, and in none with a filled secret
    /// field. Conditions are an agent's questions, which a page must not answer about what is typed.
    granted: Option<Grant>,
    responses: Arc<NetworkResponses>,
    _watching: Option<NetworkWatch>,
}

/// What the network has brought so far.
struct NetworkResponses {
    /// By the conditions' order; those of other kinds stay `false`.
    met: Mutex<Vec<bool>>,
    /// Some answers went by unseen.
    lost: AtomicBool,
}

struct NetworkWatch(JoinHandle<()>);

impl Drop for NetworkWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ConditionChecker {
    /// Must be called inside a tokio runtime: the network is watched from now on, if asked for.
    pub(in crate::session) fn start(
        done_when: DoneWhen,
        view: watch::Receiver<View>,
        granted: Option<Grant>,
    ) -> Self {
        let conditions = done_when.conditions().to_vec();
        let seen = Arc::new(NetworkResponses {
            met: Mutex::new(vec![false; conditions.len()]),
            lost: AtomicBool::new(false),
        });
        let network = conditions
            .iter()
            .any(|condition| matches!(condition, Condition::Network(_)));
        let watching = network.then(|| {
            let in_room = granted.is_some();
            let watch = watch_network(conditions, view.clone(), Arc::clone(&seen), in_room);
            NetworkWatch(tokio::spawn(watch))
        });
        Self {
            done_when,
            view,
            granted,
            responses: seen,
            _watching: watching,
        }
    }

    /// Checks until the user is signed in.
    pub(in crate::session) async fn until_signed_in(&self, pause: Duration) -> Finding {
        let mut view = self.view.clone();
        loop {
            let finding = self.check().await;
            if finding.verdict == Verdict::SignedIn {
                return finding;
            }
            // At the next document, or after the pause: cookies and elements come without one.
            if let Ok(Err(_)) = timeout(pause, view.changed()).await {
                // The browser is gone, which the handoff hears by other means.
                return std::future::pending().await;
            }
        }
    }

    /// Checks until the user is signed in, but not for longer than a page takes that is on its way there.
    pub(in crate::session) async fn check_with_grace(&self) -> Finding {
        let until = Instant::now() + GRACE_PERIOD;
        loop {
            let finding = self.check().await;
            if finding.verdict == Verdict::SignedIn || Instant::now() >= until {
                return finding;
            }
            sleep(RECHECK_INTERVAL).await;
        }
    }

    /// Checks once.
    pub(in crate::session) async fn check(&self) -> Finding {
        let page = self.view.borrow().page.clone();
        let deadline = Instant::now() + CHECK_TIMEOUT;
        if let Some(granted) = &self.granted {
            let may = timeout_at(deadline, may_be_judged(&page, granted)).await;
            if !matches!(may, Ok(Ok(true))) {
                let unmet = (ConditionState::Unmet, "Not looked at.".to_owned());
                let answers = vec![unmet; self.done_when.conditions().len()];
                return self.done_when.conclude(answers);
            }
        }
        let mut answers = Vec::new();
        for (i, condition) in self.done_when.conditions().iter().enumerate() {
            let asking = async {
                match condition {
                    Condition::Url(glob) => {
                        let in_room = self.granted.is_some();
                        check_url(&page, |url| glob.matches(judged(url, in_room))).await
                    }
                    Condition::Cookie(wanted) => check_cookie(&page, wanted).await,
                    Condition::Selector(selector) => check_selector(&page, selector).await,
                    Condition::Network(wanted) => Ok(self.responses.answer(i, wanted)),
                }
            };
            answers.push(match timeout_at(deadline, asking).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => (ConditionState::Unknown, error.to_string()),
                Err(_) => (
                    ConditionState::Unknown,
                    "The browser did not answer in time.".to_owned(),
                ),
            });
        }
        self.done_when.conclude(answers)
    }
}

/// What of an address is judged: in a room origin and path, since a query may hold what was typed, and how
/// a handoff ends would answer an agent's question about it.
fn judged(url: &str, in_room: bool) -> &str {
    match url.find(['?', '#']) {
        Some(end) if in_room => &url[..end],
        _ => url,
    }
}

/// Whether a room's page shows a granted site, and no secret that was typed.
async fn may_be_judged(page: &Page, granted: &Grant) -> Result<bool, BrowserError> {
    let tree = page.call("Page.getFrameTree", json!({})).await?;
    let frame = &tree["frameTree"]["frame"];
    let url = frame["url"].as_str().and_then(|url| Url::parse(url).ok());
    if !url.is_some_and(|url| granted.covers_url(&url)) {
        return Ok(false);
    }
    let world = page.isolated_world(frame, WORLD_NAME).await?;
    let filled = page.evaluate_in(world, FILLED_SECRET_SCRIPT).await?;
    Ok(filled.as_bool() == Some(false))
}

async fn check_url(
    page: &Page,
    matches: impl Fn(&str) -> bool,
) -> Result<ConditionReport, BrowserError> {
    let info = page.call("Target.getTargetInfo", json!({})).await?;
    let url = info["targetInfo"]["url"].as_str().unwrap_or_default();
    // Paths and queries may carry what the site keeps secret.
    let origin = Url::parse(url).map_or_else(
        |_| "null".to_owned(),
        |url| url.origin().ascii_serialization(),
    );
    Ok((
        ConditionState::from(matches(url)),
        format!("The page is at {origin}."),
    ))
}

async fn check_cookie(
    page: &Page,
    wanted: &CookieCondition,
) -> Result<ConditionReport, BrowserError> {
    // `Storage.getCookies` of a page's session reads the browser's default context, whatever the page's is.
    let answer = page.call("Network.getAllCookies", json!({})).await?;
    let text = |cookie: &Value, key: &str| cookie[key].as_str().unwrap_or_default().to_owned();
    let found = answer["cookies"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| wanted.matches(&text(c, "name"), &text(c, "domain")));
    Ok(match found {
        Some(cookie) => (
            ConditionState::Met,
            format!("The cookie is set for {}.", text(cookie, "domain")),
        ),
        None => (ConditionState::Unmet, "There is no such cookie.".to_owned()),
    })
}

async fn check_selector(page: &Page, selector: &str) -> Result<ConditionReport, BrowserError> {
    let tree = page.call("Page.getFrameTree", json!({})).await?;
    let frame = &tree["frameTree"]["frame"];
    let world = page.isolated_world(frame, WORLD_NAME).await?;
    let literal = Value::from(selector).to_string();
    let matching = format!("document.querySelector({literal}) !== null");
    let answer = page.evaluate_in(world, &matching).await?;
    Ok(match answer.as_bool() {
        Some(true) => (ConditionState::Met, "An element matches.".to_owned()),
        Some(false) => (ConditionState::Unmet, "No element matches.".to_owned()),
        None => (
            ConditionState::Unknown,
            "The selector is not valid here.".to_owned(),
        ),
    })
}

impl NetworkResponses {
    fn answer(&self, condition: usize, wanted: &NetworkCondition) -> ConditionReport {
        let met = self.met.lock();
        if met.get(condition).copied().unwrap_or_default() {
            let seen = format!("An answer with status {} was seen.", wanted.status);
            (ConditionState::Met, seen)
        } else if self.lost.load(Ordering::Relaxed) {
            let lost = "The page makes more requests than could be watched.";
            (ConditionState::Unknown, lost.to_owned())
        } else {
            (ConditionState::Unmet, "No such answer was seen.".to_owned())
        }
    }

    fn note(&self, conditions: &[Condition], params: &Value, in_room: bool) {
        let url = params["response"]["url"].as_str().unwrap_or_default();
        let url = judged(url, in_room);
        let status = params["response"]["status"].as_u64().unwrap_or_default();
        let mut met = self.met.lock();
        for (met, condition) in met.iter_mut().zip(conditions) {
            if let Condition::Network(wanted) = condition {
                *met |= u64::from(wanted.status) == status && wanted.url.matches(url);
            }
        }
    }
}

/// Watches the network of whichever page is shown.
async fn watch_network(
    conditions: Vec<Condition>,
    mut view: watch::Receiver<View>,
    seen: Arc<NetworkResponses>,
    in_room: bool,
) {
    loop {
        let page = view.borrow_and_update().page.clone();
        // Redirects are told with the request that follows them.
        let methods = ["Network.responseReceived", "Network.requestWillBeSent"];
        let mut events = page.subscribe(&methods, MAX_RESPONSES);
        if page.call("Network.enable", json!({})).await.is_err() {
            seen.lost.store(true, Ordering::Relaxed);
        }
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return };
                    if events.take_lost() > 0 {
                        seen.lost.store(true, Ordering::Relaxed);
                    }
                    match &event.params["redirectResponse"] {
                        Value::Null => seen.note(&conditions, &event.params, in_room),
                        response => {
                            seen.note(&conditions, &json!({ "response": response }), in_room);
                        }
                    }
                }
                changed = view.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if view.borrow().page != page {
                        break;
                    }
                }
            }
        }
    }
}
