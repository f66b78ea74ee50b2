//! What can go wrong between async code and a shard.

use std::{io, net::SocketAddr};

use authloop_relay::{CredentialsError, RelayError};

/// Why the relay did not start, or did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The configuration cannot work.
    #[error("relay configuration: {0}")]
    Config(&'static str),
    /// The port cannot be bound.
    #[error("cannot listen on UDP {addr}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread or waker could be made.
    #[error("cannot start a shard")]
    Start(#[source] io::Error),
    /// The system gave no randomness.
    #[error("the system's random generator failed")]
    Entropy,
    /// The shard has ended.
    #[error("the relay has stopped")]
    Stopped,
    /// The core refused.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The endpoint's credentials are not valid.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}
