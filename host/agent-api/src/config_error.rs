//! Why a configuration cannot be used.

use std::{net::SocketAddr, path::PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The API keys are unreadable or too weak.
    #[error("the API keys in {}: {problem}", path.display())]
    Keys {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Anyone on the network could hand browsers over.
    #[error("{0} is not a loopback address: without --api-keys-file anyone could use it")]
    Open(SocketAddr),
    /// The address that clients are told is none.
    #[error("the public URL must be http:// or https:// without query")]
    PublicUrl,
    /// A number is out of bounds.
    #[error("{0} must be from {1} to {2}")]
    Bounds(&'static str, u64, u64),
    /// TLS for webhooks could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
}
