//! The right to keep agents out, for as long as somebody holds it.

use std::time::Duration;

use tokio::time::sleep;

use super::{GateError, GatedBrowser, ending::Ending, remote::RemoteLease};

/// How often to try to open the gate for a holder that is gone, each pause twice the last.
const MAX_OPEN_ATTEMPTS: u32 = 6;
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);

/// A gate closed in favour of one handoff.
///
/// Dropping it clears the browser and opens the gate in the background: a holder that ended before its
/// time must not leave agents shut out for good.
#[derive(Debug)]
#[must_use = "the gate opens as soon as this is dropped"]
pub enum Lease {
    /// Of a gate in this process.
    Local(LocalLease),
    /// Of a gate in another process.
    Remote(RemoteLease),
}

impl Lease {
    /// Clears what the user left behind and lets agents go on.
    ///
    /// # Errors
    /// [`GateError`]; the gate is closed still, and a few more attempts are made in the background.
    pub async fn open(self, ending: Ending) -> Result<(), GateError> {
        match self {
            Self::Local(lease) => lease.open(ending).await,
            Self::Remote(lease) => lease.open(ending).await,
        }
    }
}

/// Of a gate in this process.
#[derive(Debug)]
pub struct LocalLease(Option<GatedBrowser>);

impl LocalLease {
    pub(super) fn new(browser: GatedBrowser) -> Self {
        Self(Some(browser))
    }

    pub(super) async fn open(mut self, ending: Ending) -> Result<(), GateError> {
        if let Some(browser) = self.0.clone() {
            browser.open(ending).await?;
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for LocalLease {
    fn drop(&mut self) {
        if let (Some(browser), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(reopen(browser));
        }
    }
}

async fn reopen(browser: GatedBrowser) {
    let mut delay = FIRST_RETRY_DELAY;
    for attempt in 1..=MAX_OPEN_ATTEMPTS {
        match browser.open(Ending::Otherwise).await {
            Ok(()) => return tracing::info!("the gate is open again, for its holder is gone"),
            Err(_) if browser.is_gone() => return,
            Err(error) => tracing::warn!(%error, attempt, "the gate could not be opened"),
        }
        sleep(delay).await;
        delay *= 2;
    }
    tracing::error!("the gate stays closed: the browser does not let itself be cleared");
}
