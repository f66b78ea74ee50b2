//! What can go wrong between the host and the browser.

/// Why a browser could not be reached, used, or kept.
///
/// Messages name a host and port at most: a CDP address may carry an access token in its path or
/// query, so it is never echoed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrowserError {
    /// The address cannot be a CDP address.
    #[error("not a CDP address: {0}")]
    BadUrl(String),
    /// Nothing answered at the address.
    #[error("cannot reach a browser at {host}: {reason}")]
    Unreachable {
        /// Host and port that were tried.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// Something answered, but it does not speak CDP.
    #[error("{host} answered, but not as a browser's debugging port: {reason}")]
    NotABrowser {
        /// Host and port that were tried.
        host: String,
        /// How the answer differed.
        reason: String,
    },
    /// The browser has no page that could be shown.
    #[error("the browser has no open page")]
    NoPage,
    /// The named target does not exist, or has closed.
    #[error("the browser has no page target {0}")]
    NoSuchPage(String),
    /// The connection ended while it was in use.
    #[error("the browser went away: {0}")]
    Gone(String),
    /// The browser refused a command.
    #[error("{method} was refused by the browser: {message} ({code})")]
    Cdp {
        /// The command.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// The browser's words.
        message: String,
    },
    /// The browser did not answer a command in time.
    #[error("the browser did not answer {0} in time")]
    Timeout(String),
    /// The browser takes commands more slowly than they are issued.
    #[error("the browser is too slow: {0} was not sent")]
    Busy(String),
    /// The browser answered a command with something else than the protocol says.
    #[error("unexpected answer to {0}")]
    Unexpected(String),
    /// A browser could not be started.
    #[error("cannot start a browser: {0}")]
    Launch(String),
}

impl BrowserError {
    /// Whether the whole connection is lost, so that no later call can succeed.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Gone(_))
    }
}
