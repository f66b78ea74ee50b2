//! The agent API: an AuthLoop-compatible REST service beside the browser (`docs/AGENT_API.md`).
//!
//! [`Config`] is what an operator chose, validated; [`Service`] answers requests and keeps the sessions;
//! a [`Runner`] carries each session through, in production [`HandoffRunner`].

mod api;
mod audit;
mod auth;
mod config;
mod error;
mod idempotency;
mod order;
mod routes;
mod runner;
mod seal;
mod service;
mod session;
mod sessions;
mod webhook;

pub use api::{
    CreateSession, Outcome, Phase, Reason, SealedState, SessionCreated, SessionView, Status,
};
pub use audit::AuditLog;
pub use auth::ApiKeys;
pub use config::{Config, ConfigError};
pub use order::{GateMode, Order};
pub use routes::openapi;
pub use runner::{Ended, HandoffRunner, Report, RunError, Runner};
pub use seal::INFO_PREFIX;
pub use service::{ServeError, Service};
pub use webhook::{Retry, WebhookPolicy};
