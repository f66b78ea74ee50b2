//! A session on its way to the agent's browser, beside the loop: the user's connection is served meanwhile, and
//! an agent's browser that is away is waited for.

use std::time::Duration;

use authloop_browser::Follower;
use authloop_cdp::{BrowserError, Page};
use authloop_done_when::Conclusion;
use authloop_protocol::output::Verdict;
use authloop_rooms::{Bundle, Grant, PlantError};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    done_when::{ConditionChecker, overruled},
    private_room::{AgentPage, PrivateRoom},
};
use crate::{HandoffConfig, HandoffError};

/// Between two tries to reach an agent's browser that is away.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
/// How long the agent's page may take to load what the session opens.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The task tells two things at most.
const MAX_EVENTS: usize = 2;

/// What the room's browser leaves, once the room itself is gone.
pub(super) struct Leaving {
    pub(super) bundle: Bundle,
    /// Where the room's page was last, if the agent's page may go there.
    pub(super) address: Option<Url>,
}

/// What is heard of a session on its way.
pub(super) enum MovingEvent {
    /// The agent's browser cannot be reached for now.
    AgentAway,
    /// It is over.
    Ended(Result<Moved, HandoffError>),
}

/// How it ended.
pub(super) enum Moved {
    /// The agent's browser shows the sign-in, or nobody said what that would be.
    Yes(Bundle, Conclusion),
    /// It does not.
    No(Conclusion),
    /// It was given up while the agent's browser was away: nothing has moved.
    GivenUp,
}

/// A session on its way.
pub(super) struct Moving {
    /// The room that it came from, which is gone.
    pub(super) room: Box<PrivateRoom>,
    events: mpsc::Receiver<MovingEvent>,
    give_up: CancellationToken,
    pub(super) agent_away: bool,
}

impl Moving {
    /// Begins to plant in the agent's browser; one that is away is waited for until [`Moving::give_up`].
    pub(super) fn start(room: Box<PrivateRoom>, leaving: Leaving, config: &HandoffConfig) -> Self {
        let (events, receiver) = mpsc::channel(MAX_EVENTS);
        let give_up = CancellationToken::new();
        let task = MovingTask {
            agent: room.agent().clone(),
            grant: room.grant().clone(),
            leaving,
            config: config.clone(),
            give_up: give_up.clone(),
        };
        // Never aborted: a bundle is planted whole, or what was there before is there again.
        tokio::spawn(async move {
            let ended = task.run(&events).await;
            let _nobody_listens = events.send(MovingEvent::Ended(ended)).await;
        });
        Self {
            room,
            events: receiver,
            give_up,
            agent_away: false,
        }
    }

    /// What is heard next.
    pub(super) async fn next(&mut self) -> MovingEvent {
        let lost = || {
            let lost = BrowserError::Gone("the session was lost on its way".to_owned());
            MovingEvent::Ended(Err(lost.into()))
        };
        self.events.recv().await.unwrap_or_else(lost)
    }

    /// Waits no longer for a browser that is away, and says how it ended: what is being planted is planted.
    pub(super) async fn give_up(&mut self) -> Result<Moved, HandoffError> {
        self.give_up.cancel();
        loop {
            if let MovingEvent::Ended(ended) = self.next().await {
                return ended;
            }
        }
    }
}

struct MovingTask {
    agent: AgentPage,
    grant: Grant,
    leaving: Leaving,
    config: HandoffConfig,
    give_up: CancellationToken,
}

impl MovingTask {
    async fn run(mut self, events: &mpsc::Sender<MovingEvent>) -> Result<Moved, HandoffError> {
        let mut told = false;
        loop {
            match self.carry().await {
                Ok(Carried::Shown(conclusion)) => {
                    return Ok(Moved::Yes(self.leaving.bundle, conclusion));
                }
                Ok(Carried::NotShown(conclusion)) => return Ok(Moved::No(conclusion)),
                Err(
                    HandoffError::Browser(error) | HandoffError::Plant(PlantError::Browser(error)),
                ) if is_away(&error) => {
                    tracing::debug!(%error, "the agent's browser is away");
                }
                Err(error) => return Err(error),
            }
            if !std::mem::replace(&mut told, true) {
                let _nobody_listens = events.send(MovingEvent::AgentAway).await;
            }
            tokio::select! {
                () = self.give_up.cancelled() => return Ok(Moved::GivenUp),
                () = sleep(RECONNECT_INTERVAL) => {}
            }
            if let Ok(agent) = AgentPage::connect(&self.config).await {
                self.agent = agent;
            }
        }
    }

    /// Plants the bundle and looks for the sign-in in the agent's browser.
    async fn carry(&self) -> Result<Carried, HandoffError> {
        let AgentPage { browser, page } = &self.agent;
        let before = self.agent.address().await?;
        match self.leaving.bundle.plant(browser, page, &self.grant).await {
            Ok(()) => {}
            Err(error @ PlantError::Browser(_)) => return Err(error.into()),
            Err(PlantError::CookieRefused { .. } | PlantError::StorageRefused { .. }) => {
                // What was there before is there again, and the agent's page goes back to it.
                load(page, &before).await?;
                return Ok(Carried::NotShown(Conclusion::Unchecked));
            }
        }
        let follower = Follower::start(browser, Some(page.target())).await?;
        // The network is watched before the page loads.
        let done_when = self.config.verify.done_when.clone();
        let checker =
            done_when.map(|done_when| ConditionChecker::start(done_when, follower.view(), None));
        let address = self.leaving.address.as_ref();
        load(page, address.map_or(before.as_str(), Url::as_str)).await?;
        let Some(checker) = checker else {
            return Ok(Carried::Shown(Conclusion::Unchecked));
        };
        let finding = checker.check_with_grace().await;
        Ok(match finding.verdict {
            Verdict::SignedIn => Carried::Shown(Conclusion::Checked(finding)),
            Verdict::NotSignedIn | Verdict::Inconclusive => Carried::NotShown(overruled(finding)),
        })
    }
}

/// What the agent's browser shows of what was planted.
enum Carried {
    Shown(Conclusion),
    NotShown(Conclusion),
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
