//! The agent API over HTTP, with handoffs that are played.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod lifecycle;
mod stage;
mod streams;
mod webhooks;
