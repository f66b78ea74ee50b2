//! What tests of authloop's signaling share.
//!
//! - [`TestClient`], with [`TestSession`] and [`TestDevice`]: either side of a session, as far as
//!   signaling sees it. It speaks `docs/PROTOCOL.md` section 5 word by word, so that a test can also
//!   say the wrong thing.
//! - [`RedisServer`], with [`RedisProxy`]: a Redis of the test's own, and a connection to it that can
//!   be cut.
//!
//! Everything panics where it fails, and waits at most [`TEST_TIMEOUT`]: it is for tests only.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod client;
mod redis;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use client::{TestClient, TestDevice, TestSession};
pub use redis::{RedisProxy, RedisServer};

/// Past this a test has failed; nothing waits for it to pass.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// The time in Unix seconds.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
