//! The server as a process: its options, its ready line, its answers to operators, its end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod api_keys;
mod audit;
#[path = "../../signaling/tests/signaling/support/client.rs"]
#[expect(dead_code, reason = "shared with signaling's own tests")]
mod client;
mod lifecycle;
mod page;
mod secrets;
mod signals;
mod support;
mod tls;
mod traces;

// `client` takes these from its parent.
use support::{TEST_TIMEOUT as SOON, random, unix_now};
