//! Why streams end.

use std::io;

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
    #[error("the server goes down")]
    Shutdown,
    #[error(transparent)]
    Relay(#[from] ShardError),
    #[error(transparent)]
    Io(#[from] io::Error),
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
            Self::Shutdown => "shutdown",
            Self::Relay(_) => "relay",
            Self::Io(_) => "io",
        }
    }
}
