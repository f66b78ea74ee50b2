//! The end of a sign-in in a private room: its session is carried to the agent's browser, and looked for there.

use std::time::Duration;

use authloop_browser::Follower;
use authloop_cdp::{BrowserError, Page};
use authloop_done_when::Conclusion;
use authloop_protocol::output::{OutputMessage, Verdict};
use authloop_rooms::{Bundle, Grant, PlantError, TypedSecrets};
use serde_json::json;
use tokio::time::{sleep, sleep_until, timeout};
use url::Url;

use super::{
    HandoffSession, Place, Step,
    done_when::{ConditionChecker, overruled},
    private_room::{AgentPage, PrivateRoom},
    rooms::not_moved,
};
use crate::{HandoffEnd, HandoffError, HandoffEvent, HandoffState};

/// Between two tries to reach an agent's browser that is away.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
/// How long the agent's page may take to load what the session opens.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// What the room's browser leaves, once the room itself is gone.
struct Leaving {
    bundle: Bundle,
    /// Where the room's page was last, if the agent's page may go there.
    address: Option<Url>,
}

/// What came of a carrying over.
enum Carried {
    /// The agent's browser shows the sign-in, or nobody said what that would be.
    Moved(Conclusion),
    /// It does not.
    NotMoved(Conclusion),
    /// The handoff ended meanwhile.
    Ended(HandoffEnd),
}

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// The user is done in the room: the session moves, and the room ends before anyone hears of it.
    pub(super) async fn carry_out(&mut self) -> Step {
        let Place::Private(private) = &mut self.place else {
            return Ok(None);
        };
        let Some(mut stage) = self.stage.take() else {
            return Ok(None);
        };
        self.link.send(&OutputMessage::Moving {}).await;
        stage.end_user_control().await;
        let typed = stage.take_typed();
        let (browser, page, tabs) = (stage.browser(), stage.page(), stage.other_pages().await);
        let address = last_address(&page, private.grant(), &typed).await;
        let expected = &self.config.expected_origins;
        let read = Bundle::take_from_room(&browser, &page, &tabs, expected, private.grant()).await;
        drop((stage, browser, page, tabs));
        private.close().await;
        let came_along = private.take_came_along();
        let mut bundle = read?;
        // The agent may hear from here on that the user is done: nothing in the room can tell it more.
        self.enter(HandoffState::Checking);
        let left = bundle.leave_typed_behind(&typed, &came_along);
        drop(typed);
        if left > 0 {
            tracing::warn!(left, "entries that held what was typed stay behind");
            self.notify_user(
                "left_behind",
                "Something that held what you typed stayed behind.",
            )
            .await;
        }
        let leaving = Leaving { bundle, address };
        match self.carry(&leaving).await? {
            Carried::Ended(end) => Ok(Some(end)),
            Carried::Moved(conclusion) => Ok(Some(HandoffEnd::Resolved {
                cookies: leaving.bundle.cookie_count(),
                storage_state: self.config.storage_state.then_some(leaving.bundle),
                conclusion,
            })),
            Carried::NotMoved(conclusion) => Ok(self.on_not_moved(conclusion).await),
        }
    }

    /// Plants until the agent's browser has it; one that is away is waited for until the handoff expires.
    async fn carry(&mut self, leaving: &Leaving) -> Result<Carried, HandoffError> {
        let mut told = false;
        loop {
            let Place::Private(private) = &mut self.place else {
                return Ok(Carried::Ended(HandoffEnd::Cancelled));
            };
            match carry_once(private, leaving, &self.config.verify.done_when).await {
                Ok(carried) => return Ok(carried),
                Err(
                    HandoffError::Browser(error) | HandoffError::Plant(PlantError::Browser(error)),
                ) if is_away(&error) => {
                    tracing::debug!(%error, "the agent's browser is away");
                }
                Err(error) => return Err(error),
            }
            if !std::mem::replace(&mut told, true) {
                self.notify_user(
                    "agent_browser_away",
                    "The agent's browser cannot be reached. Your session waits for it.",
                )
                .await;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(Carried::Ended(HandoffEnd::Cancelled)),
                () = sleep_until(self.expires) => return Ok(Carried::Ended(HandoffEnd::Expired)),
                () = sleep(RECONNECT_INTERVAL) => {}
            }
            if let Ok(agent) = AgentPage::connect(&self.config).await
                && let Place::Private(private) = &mut self.place
            {
                private.replace_agent(agent);
            }
        }
    }

    async fn on_not_moved(&mut self, conclusion: Conclusion) -> Option<HandoffEnd> {
        let Place::Private(private) = &self.place else {
            return None;
        };
        let in_place = private.in_place_allowed() && self.link.is_verified();
        self.link.send(&not_moved(in_place)).await;
        if !in_place {
            return Some(HandoffEnd::NotMoved { conclusion });
        }
        self.enter(HandoffState::Live);
        self.place = Place::Undecided(conclusion);
        None
    }

    async fn notify_user(&mut self, code: &str, message: &str) {
        let notice = OutputMessage::Notice {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.link.send(&notice).await;
    }
}

/// Plants the bundle and looks for the sign-in in the agent's browser.
async fn carry_once(
    private: &PrivateRoom,
    leaving: &Leaving,
    done_when: &Option<authloop_done_when::DoneWhen>,
) -> Result<Carried, HandoffError> {
    let AgentPage { browser, page } = private.agent();
    let before = private.agent().address().await?;
    match leaving.bundle.plant(browser, page, private.grant()).await {
        Ok(()) => {}
        Err(error @ PlantError::Browser(_)) => return Err(error.into()),
        Err(PlantError::CookieRefused { .. } | PlantError::StorageRefused { .. }) => {
            // What was there before is there again, and the agent's page goes back to it.
            load(page, &before).await?;
            return Ok(Carried::NotMoved(Conclusion::Unchecked));
        }
    }
    let follower = Follower::start(browser, Some(page.target())).await?;
    // The network is watched before the page loads.
    let checker = done_when
        .clone()
        .map(|done_when| ConditionChecker::start(done_when, follower.view(), None));
    let address = leaving
        .address
        .as_ref()
        .map_or(before.as_str(), Url::as_str);
    load(page, address).await?;
    let Some(checker) = checker else {
        return Ok(Carried::Moved(Conclusion::Unchecked));
    };
    let finding = checker.check_with_grace().await;
    Ok(match finding.verdict {
        Verdict::SignedIn => Carried::Moved(Conclusion::Checked(finding)),
        Verdict::NotSignedIn | Verdict::Inconclusive => Carried::NotMoved(overruled(finding)),
    })
}

/// Loads an address; a page that goes on loading is checked as it is.
async fn load(page: &Page, address: &str) -> Result<(), BrowserError> {
    let mut loaded = page.subscribe(&["Page.loadEventFired"], 1);
    page.call("Page.navigate", json!({ "url": address }))
        .await?;
    if timeout(LOAD_TIMEOUT, loaded.recv()).await.is_err() {
        tracing::debug!("the agent's page goes on loading");
    }
    Ok(())
}

/// Where the room's page is, if the agent's page may be led there.
async fn last_address(page: &Page, grant: &Grant, typed: &TypedSecrets) -> Option<Url> {
    let tree = page.call("Page.getFrameTree", json!({})).await.ok()?;
    let frame = &tree["frameTree"]["frame"];
    let fragment = frame["urlFragment"].as_str().unwrap_or_default();
    let address = format!("{}{fragment}", frame["url"].as_str()?);
    let url = Url::parse(&address).ok()?;
    let may = matches!(url.scheme(), "http" | "https")
        && grant.covers_url(&url)
        && !typed.found_in(url.as_str());
    may.then_some(url)
}

/// Whether the browser may come back.
fn is_away(error: &BrowserError) -> bool {
    matches!(
        error,
        BrowserError::Gone(_)
            | BrowserError::Unreachable { .. }
            | BrowserError::NotABrowser { .. }
            | BrowserError::NoPage
            | BrowserError::NoSuchPage(_)
    )
}
