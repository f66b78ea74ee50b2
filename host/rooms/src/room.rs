//! One private room: a browser process of the host's own, with one page in a context off the record.

use authloop_cdp::{Browser, BrowserError, Launch, PipedBrowser, TargetId};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    client::{ClientIdentity, Presenting},
    profile::RoomProfile,
};

/// How long a browser may take to be ready; a cold start on a loaded machine takes seconds.
const READY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(40);

/// What keeps a room's browser from writing, asking and telling. Each of these is a way by which what was
/// typed, or where, would outlive the room or leave it.
const ROOM_FLAGS: [&str; 9] = [
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--no-pings",
    "--disk-cache-size=1",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
];

/// A room that waits or is used; [`Room::close`] or dropping it ends the browser and removes its profile.
#[derive(Debug)]
pub struct Room {
    browser: Browser,
    target: TargetId,
    presenting: Option<Presenting>,
    /// Before the profile, which it would write to: fields end in this order.
    _process: PipedBrowser,
    _profile: RoomProfile,
}

impl Room {
    /// Starts a browser.
    pub(crate) async fn open(launch: Launch, profile: RoomProfile) -> Result<Self, BrowserError> {
        let launch = ROOM_FLAGS
            .iter()
            .fold(launch, |launch, flag| launch.arg(*flag));
        let (process, transport) = launch.start_confined(profile.path())?;
        let ready = async {
            let browser = Browser::from_transport(transport).await?;
            // Off the record: no cookie, cache, history or posted form is ever in a file.
            let context = browser
                .call(
                    "Target.createBrowserContext",
                    json!({ "disposeOnDetach": true }),
                )
                .await?;
            let params = json!({
                "url": "about:blank", "browserContextId": context["browserContextId"],
            });
            let created = browser.call("Target.createTarget", params).await?;
            let target = created["targetId"].as_str().map(TargetId::from);
            let unexpected = || BrowserError::Unexpected("Target.createTarget".to_owned());
            Ok((browser, target.ok_or_else(unexpected)?))
        };
        let late = |_| BrowserError::Launch("it was not ready in time".to_owned());
        let ready = timeout(READY_TIMEOUT, ready).await;
        let (browser, target) = ready.map_err(late).flatten()?;
        Ok(Self {
            browser,
            target,
            presenting: None,
            _process: process,
            _profile: profile,
        })
    }

    /// The browser.
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Its page.
    pub fn target(&self) -> &TargetId {
        &self.target
    }

    /// Has the room's pages present themselves as the agent's browser does.
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn present_as(&mut self, identity: &ClientIdentity) -> Result<(), BrowserError> {
        self.presenting = Some(Presenting::start(&self.browser, identity).await?);
        Ok(())
    }

    /// Whether the browser still answers. Its pipe is asked: a process that nobody has waited for keeps its id.
    pub(crate) fn is_alive(&self) -> bool {
        !self.browser.has_ended()
    }

    /// Ends the browser and removes its profile; returns once both are gone.
    pub async fn close(self) {
        if tokio::task::spawn_blocking(move || drop(self))
            .await
            .is_err()
        {
            tracing::error!("a room was not ended as it should be");
        }
    }
}
