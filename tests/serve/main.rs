//! The server as a process: its options, its ready line, its answers to operators, its end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod api_keys;
mod audit;
mod lifecycle;
mod page;
mod secrets;
mod signals;
mod support;
mod tls;
mod traces;
