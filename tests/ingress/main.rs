//! The HTTP port as the internet meets it: its certificate, its timeouts, its limits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod acme;
mod admin;
mod alpn;
mod hosts;
mod http2;
mod limits;
mod reload;
mod slow;
mod support;
mod verify;
