//! The private room of a handoff: with what it begins, and the agent's page to which its session goes.

use std::{sync::Arc, time::Duration};

use authloop_cdp::{Browser, BrowserError, Page};
use authloop_protocol::invitation::{PrivateRoom as InvitedRoom, RoomStart};
use authloop_rooms::{
    Bundle, ClientIdentity, Grant, HistoryEntry, TakenRoom, as_is_address, fresh_address,
};
use parking_lot::Mutex;
use serde::Deserialize as _;
use serde_json::json;
use tokio::{task::JoinHandle, time::timeout};
use url::Url;

use super::browser_stage::AbortOnDrop;
use crate::{HandoffConfig, HandoffError, PrivateRoomConfig, RoomReport};

/// How long the agent's page may take to say how its browser presents itself. A page that hangs does not
/// keep the user waiting.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(2);

/// A sign-in in a browser that the agent cannot see.
pub(super) struct PrivateRoom {
    config: PrivateRoomConfig,
    grant: Grant,
    agent: AgentPage,
    room: Option<TakenRoom>,
    beginning: Option<AbortOnDrop>,
    /// What a room begun `as_is` brought along from the agent's browser.
    came_along: Arc<Mutex<Bundle>>,
}

/// The page in the agent's browser to which the session goes.
#[derive(Clone)]
pub(super) struct AgentPage {
    pub(super) browser: Browser,
    pub(super) page: Page,
}

impl AgentPage {
    /// Connects to the agent's browser and takes the page that it shows.
    pub(super) async fn connect(config: &HandoffConfig) -> Result<Self, HandoffError> {
        let browser = super::connect(config).await?;
        Ok(Self::of(browser).await?)
    }

    async fn of(browser: Browser) -> Result<Self, BrowserError> {
        let shown = browser.default_page().await?;
        let page = browser.attach(&shown.id).await?;
        Ok(Self { browser, page })
    }

    /// The page's address, as the browser process has it.
    pub(super) async fn address(&self) -> Result<String, BrowserError> {
        let tree = self.page.call("Page.getFrameTree", json!({})).await?;
        let url = tree["frameTree"]["frame"]["url"].as_str();
        Ok(url.unwrap_or_default().to_owned())
    }

    /// The page's history, and where in it the page is.
    async fn history(&self) -> Result<(Vec<HistoryEntry>, usize), BrowserError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            url: String,
            #[serde(rename = "userTypedURL", default)]
            user_typed_url: String,
        }
        let mut answer = self
            .page
            .call("Page.getNavigationHistory", json!({}))
            .await?;
        let unexpected = |_| BrowserError::Unexpected("Page.getNavigationHistory".to_owned());
        let entries = Vec::<Entry>::deserialize(answer["entries"].take()).map_err(unexpected)?;
        let entry = |Entry {
                         url,
                         user_typed_url,
                     }: Entry| HistoryEntry {
            url,
            user_typed_url,
        };
        let current = answer["currentIndex"].as_u64().unwrap_or_default();
        let current = usize::try_from(current).unwrap_or_default();
        Ok((entries.into_iter().map(entry).collect(), current))
    }
}

impl PrivateRoom {
    /// Finds out which sites' session moves, and whether there is an address to begin at: before a link is
    /// made that opens nothing.
    pub(super) async fn prepare(
        config: PrivateRoomConfig,
        expected_origins: &[String],
        browser: Browser,
    ) -> Result<Self, HandoffError> {
        let agent = AgentPage::of(browser).await?;
        let shown = agent.address().await?;
        let grant = Grant::choose(
            &config.grants,
            expected_origins,
            config.url.as_deref(),
            Some(&shown),
        )?;
        let prepared = Self {
            config,
            grant,
            agent,
            room: None,
            beginning: None,
            came_along: Arc::default(),
        };
        prepared.address().await?;
        Ok(prepared)
    }

    /// What the invitation says.
    pub(super) fn invited(&self) -> InvitedRoom {
        InvitedRoom {
            start: self.config.start,
            sites: self.grant.names(),
        }
    }

    /// What the caller is told.
    pub(super) fn report(&self) -> RoomReport {
        RoomReport::Private {
            start: self.config.start,
            sites: self.grant.names(),
            isolation: self.config.pool.isolation(),
        }
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(super) fn agent(&self) -> &AgentPage {
        &self.agent
    }

    /// What came along from the agent's browser; nothing afterwards.
    pub(super) fn take_came_along(&self) -> Bundle {
        std::mem::take(&mut *self.came_along.lock())
    }

    pub(super) fn in_place_allowed(&self) -> bool {
        self.config.in_place_allowed
    }

    /// Takes a room; what it shows is an empty page until [`PrivateRoom::begin`].
    pub(super) async fn open(&mut self) -> Result<(Browser, Page), HandoffError> {
        let mut taken = self.config.pool.take().await?;
        let room = taken.room();
        let identity = timeout(IDENTITY_TIMEOUT, ClientIdentity::read(&self.agent.page));
        match identity.await {
            Ok(Ok(identity)) => room.present_as(&identity).await?,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the agent's page does not say how it presents itself")
            }
            Err(_) => tracing::debug!("the agent's page does not answer"),
        }
        let browser = room.browser().clone();
        let page = browser.attach(room.target()).await?;
        self.room = Some(taken);
        Ok((browser, page))
    }

    /// Leads the room's page to where the sign-in begins; that may take as long as sites do.
    pub(super) fn begin(&mut self, browser: Browser, page: Page) {
        let (agent, grant, config) = (self.agent.clone(), self.grant.clone(), self.config.clone());
        let came_along = self.came_along.clone();
        let beginning = async move {
            if config.start == RoomStart::AsIs {
                match take_along(&agent, &browser, &page, &grant).await {
                    Ok(bundle) => *came_along.lock() = bundle,
                    // The sign-in may still be possible from here, and the user sees where they are.
                    Err(error) => {
                        tracing::warn!(%error, "the room begins without the agent's page's state");
                    }
                }
            }
            let address = address_of(&agent, &grant, &config).await?;
            let url = json!({ "url": address.as_str() });
            page.call("Page.navigate", url).await?;
            Ok::<_, HandoffError>(())
        };
        let task: JoinHandle<()> = tokio::spawn(async move {
            if let Err(error) = beginning.await {
                tracing::warn!(%error, "the room's page was not opened");
            }
        });
        self.beginning = Some(AbortOnDrop(task));
    }

    async fn address(&self) -> Result<Url, HandoffError> {
        address_of(&self.agent, &self.grant, &self.config).await
    }

    /// Ends the room; returns once its process and its profile are gone.
    pub(super) async fn close(&mut self) {
        self.beginning = None;
        if let Some(room) = self.room.take() {
            room.close().await;
        }
    }
}

/// Where the room begins, by where the agent's page is now.
async fn address_of(
    agent: &AgentPage,
    grant: &Grant,
    config: &PrivateRoomConfig,
) -> Result<Url, HandoffError> {
    Ok(match config.start {
        RoomStart::AsIs => as_is_address(&agent.address().await?, grant)?,
        RoomStart::Fresh => {
            let (history, current) = agent.history().await?;
            let url = config.url.as_deref();
            fresh_address(url, &history, current, grant, config.keep_query)?
        }
    })
}

/// Brings cookies and storage of the granted sites from the agent's browser into the room.
async fn take_along(
    agent: &AgentPage,
    browser: &Browser,
    page: &Page,
    grant: &Grant,
) -> Result<Bundle, HandoffError> {
    let bundle = Bundle::read_beside(&agent.browser, &agent.page, grant).await?;
    bundle.plant(browser, page, grant).await?;
    Ok(bundle)
}
