//! Why a tool's call fails.

use super::api::AgentApiError;

/// Why a call failed; the text is for the model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The tool is not one of ours.
    #[error("there is no such tool")]
    NoTool,
    /// The arguments are not the tool's.
    #[error("the arguments are wrong: {0}")]
    Arguments(String),
    /// No browser was given.
    #[error("cdp_url is missing, and the server was not started with --cdp")]
    NoBrowser,
    /// The state of an earlier round is not ours.
    #[error("the state of this request is unknown or too old; ask again without it")]
    State,
    /// The client does not want the answer any more.
    #[error("the call was cancelled")]
    Cancelled,
    /// The agent API's word.
    #[error(transparent)]
    Api(#[from] AgentApiError),
}
