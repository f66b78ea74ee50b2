//! Signaling over real sockets, with a relay that only takes notes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod audit;
mod claims;
mod closing;
mod cluster;
mod floods;
mod messages;
mod page;
mod relay;
mod rest;
mod support;
mod takeover;
