//! The agent API: an AuthLoop-compatible REST service beside the browser (`docs/AGENT_API.md`).
//!
//! [`Config`] is what an operator chose, validated; [`Service`] answers requests and keeps the sessions;
//! a [`Runner`] carries each session through: the API itself knows no browser.

#![forbid(unsafe_code)]

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

pub use audit::AuditLog;
pub use auth::ApiKeys;
pub use authloop_agent_api_types::{
    CreateSession, GateMode, Outcome, Phase, Reason, SealedState, SessionCreated, SessionView,
    Status,
};
pub use config::{Config, ConfigError};
pub use order::Order;
pub use routes::openapi;
pub use runner::{Ended, Report, RunError, Runner, SessionEvent, SessionState};
pub use seal::INFO_PREFIX;
pub use service::{ServeError, Service};
pub use webhook::{Retry, WebhookPolicy};
