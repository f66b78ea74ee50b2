//! Signaling for authloop, as an axum library: the sessions API, the two WebSockets of a session and
//! the viewer page. It speaks `docs/PROTOCOL.md` sections 3 to 5.
//!
//! A *host* registers a session, a *viewer's* device claims it, and both exchange sealed blobs until
//! the host ends it. The server stores the hashes of tokens and forwards blobs; nothing here can open
//! them.
//!
//! # Layers
//!
//! From the top down; a module uses those below it only.
//!
//! 1. [`Signaling::router`]: `api` (HTTP), `socket` (a WebSocket from challenge to close) and
//!    [`page`] (the viewer's files). They share [`Signaling`], in `service`.
//! 2. `directory` finds a session, in this process or at another node of the [`Cluster`], which is
//!    several servers as one over Redis.
//! 3. [`Registry`]: the sessions of this process, their timers, and what an attached client may do.
//! 4. `session` is one session's state machine, with `side` (one side's socket or mailbox) and
//!    `outbox` (what waits to be written to one socket). It does no I/O and never waits.
//! 5. What all of them use: [`settings`], [`api_keys`], [`rates`], [`origin`], [`brand`], `byte_budget`, `hosts`,
//!    `refusal`, `secret`, `clock`, and the two traits below.
//!
//! # Contract
//!
//! - The caller implements [`Relay`] and [`Observer`]. Observers are called under locks: they must
//!   return at once.
//! - [`Signaling::new`] and [`Signaling::join`] start tasks: call them inside a tokio runtime.
//! - Serve the router with `into_make_service_with_connect_info::<SocketAddr>`: rates count by the
//!   peer's address.
//! - Before the process ends, await [`Signaling::drain`]: axum's graceful shutdown does not see
//!   WebSockets.
//! - Every queue is bounded. A client that reads too slowly is cut; it never holds its sender up.

#![forbid(unsafe_code)]

pub mod api_keys;
pub mod audit;
pub mod brand;
pub mod observer;
pub mod origin;
pub mod page;
pub mod rates;
pub mod relay;
pub mod settings;

mod api;
mod byte_budget;
mod clock;
mod cluster;
mod directory;
mod error;
mod hosts;
mod limits;
mod outbox;
mod refusal;
mod registry;
mod router;
mod secret;
mod service;
mod session;
mod side;
mod socket;

pub use api_keys::{ApiKeys, Caller, NewKey, Scope};
pub use audit::AuditEvent;
pub use brand::Brand;
pub use cluster::{Cluster, ClusterError, ClusterSettings, ClusterStats};
pub use observer::{Observer, SignalingEvent};
pub use page::PageSource;
pub use registry::{Registry, SessionCounts};
pub use relay::{LegEvent, LegParameters, Relay, RelayError, SessionLegs, Side};
pub use service::Signaling;
pub use settings::Settings;
