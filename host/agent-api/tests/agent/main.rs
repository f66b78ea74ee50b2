//! The agent API over HTTP, with handoffs that follow a script.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod lifecycle;
mod rooms;
mod streams;
mod support;
mod webhooks;
