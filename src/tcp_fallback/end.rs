//! Why streams end.

use std::io;

use super::admission::NoProvenPlace;
use crate::shard::ShardError;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamEnd {
    #[error("the client closed")]
    Closed,
    #[error("the client fell silent")]
    Idle,
    #[error("the client does not read")]
    Stuck,
    #[error("the client broke the protocol")]
    Protocol,
    #[error("the client does not know its leg's credentials")]
    Unproven,
    #[error("another stream took its place before it had proved anything")]
    Displaced,
    #[error("as many streams are open as may be")]
    Refused,
    #[error("the server goes down")]
    Shutdown,
    #[error(transparent)]
    Relay(#[from] ShardError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<NoProvenPlace> for StreamEnd {
    fn from(_: NoProvenPlace) -> Self {
        Self::Refused
    }
}

impl StreamEnd {
    /// Its name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Stuck => "stuck",
            Self::Protocol => "protocol",
            Self::Unproven => "unproven",
            Self::Displaced => "displaced",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::Relay(_) => "relay",
            Self::Io(_) => "io",
        }
    }
}
