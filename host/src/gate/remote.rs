//! A gate in another process, closed and opened by its control token.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::GateError;
use crate::browser::Browser;

/// Closing waits for new documents, opening for pages to be cleared.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A gated browser as another process has it; cheap to clone.
#[derive(Clone)]
pub struct RemoteGate {
    cdp: String,
    control: SecretString,
}

impl RemoteGate {
    /// `cdp` is the address that agents use, `control` the browser's control token.
    pub fn new(cdp: impl Into<String>, control: SecretString) -> Self {
        Self {
            cdp: cdp.into(),
            control,
        }
    }

    /// The browser itself, past the gate.
    pub async fn browser(&self) -> Result<Browser, GateError> {
        Ok(Browser::connect_past(&self.cdp, &self.control).await?)
    }

    /// As [`GatedBrowser::close`](super::GatedBrowser::close).
    pub async fn close(&self, handoff: &str) -> Result<(), GateError> {
        self.change("close", Some(handoff)).await
    }

    /// As [`GatedBrowser::open`](super::GatedBrowser::open).
    pub async fn open(&self) -> Result<(), GateError> {
        self.change("open", None).await
    }

    async fn change(&self, what: &str, handoff: Option<&str>) -> Result<(), GateError> {
        let (mut url, client) = Browser::aside(&self.cdp, &format!("/control/{what}"))?;
        url.set_query(handoff);
        let host = url.authority().to_owned();
        let failed = |reason: String| GateError::Remote {
            host: host.clone(),
            reason,
        };
        let request = client.post(url).bearer_auth(self.control.expose_secret());
        let answer = request.timeout(CHANGE_TIMEOUT).send().await;
        let answer = answer.map_err(|e| failed(e.without_url().to_string()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            reqwest::StatusCode::CONFLICT => Err(GateError::Taken),
            reqwest::StatusCode::UNAUTHORIZED => {
                Err(failed("it refuses the control token".to_owned()))
            }
            status => Err(failed(format!("it answered {status} instead of {what}"))),
        }
    }
}

/// Without the token.
impl std::fmt::Debug for RemoteGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RemoteGate")
    }
}
