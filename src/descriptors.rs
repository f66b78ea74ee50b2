//! File descriptors: as many as the configuration's connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// For files, listeners, the relay, Redis, and whoever asks `/livez` when all others are taken.
const RESERVE: u64 = 256;

/// How many descriptors all connections and streams take that the configuration allows: a stream has a UDP
/// socket beside its own.
pub(crate) fn needed(config: &Config) -> u64 {
    let connections = config.max_connections as u64;
    let streams = config.max_streams as u64;
    connections + streams + RESERVE
}

/// How many this process may be allowed.
pub(crate) fn available() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises what the process is allowed to what it may be, which shells and containers often keep far below.
/// Gives how many it may have now if that is less than [`needed`].
pub(crate) fn raise(config: &Config) -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    };
    limit.filter(|limit| *limit < needed(config))
}
