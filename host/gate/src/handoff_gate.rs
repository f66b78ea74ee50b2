//! The gate of one handoff, wherever it is.

use authloop_cdp::Browser;

use super::{GateError, GatedBrowser, lease::Lease, remote::RemoteGate};

/// The gate of a handoff: in this process or in another.
#[derive(Clone, Debug)]
pub enum HandoffGate {
    /// In this process.
    Local(GatedBrowser),
    /// In another process.
    Remote(RemoteGate),
}

impl HandoffGate {
    /// The browser itself, past the gate.
    pub async fn browser(&self) -> Result<Browser, GateError> {
        match self {
            Self::Local(gated) => Ok(gated.browser()),
            Self::Remote(remote) => remote.browser().await,
        }
    }

    /// As [`GatedBrowser::close`].
    pub async fn close(&self, handoff: &str) -> Result<Lease, GateError> {
        match self {
            Self::Local(gated) => gated.close(handoff).await,
            Self::Remote(remote) => Ok(Lease::Remote(remote.close(handoff).await?)),
        }
    }
}
