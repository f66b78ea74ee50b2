//! The agent API: an AuthLoop-compatible REST service beside the browser (`docs/AGENT_API.md`).
//!
//! [`Config`] is what an operator chose, validated; [`Service`] answers requests and keeps the sessions;
//! a [`Runner`] carries each session through: the API itself knows no browser.

#![forbid(unsafe_code)]

mod app;
mod audit;
mod auth;
mod config;
mod config_error;
mod error;
mod idempotency;
mod keys;
mod rates;
mod room;
mod routes;
mod runner;
mod seal;
mod service;
mod session;
mod session_end;
mod session_event;
mod session_request;
mod sessions;
mod webhook;

pub use authloop_agent_api_types::{
    CreateSession, GateMode, Isolation, Outcome, Phase, Reason, RoomKind, RoomStart, RoomView,
    SealedState, SessionCreated, SessionView, Status,
};

pub use audit::AuditLog;
pub use config::Config;
pub use config_error::ConfigError;
pub use keys::ApiKeys;
pub use room::{RoomChoice, RoomPolicy, RoomsAllowed};
pub use routes::openapi;
pub use runner::{EventReporter, RoomRefusal, Runner};
pub use seal::INFO_PREFIX;
pub use service::{ServeError, Service};
pub use session_end::{RunError, SessionEnd};
pub use session_event::{SessionEvent, SessionState};
pub use session_request::SessionRequest;
pub use webhook::{RetryPolicy, WebhookPolicy};
