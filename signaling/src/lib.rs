//! Signaling for authloop: the sessions API, the two WebSockets of a session and the viewer page.
//!
//! `docs/PROTOCOL.md` sections 3 to 5 are what it speaks. The server stores the hash of a claim
//! token and forwards sealed blobs; nothing here can open them. The relay, the metrics and the
//! process are the root package's: it implements [`Relay`] and [`Observer`] and serves
//! [`Signaling::router`].

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
mod clock;
mod cluster;
mod directory;
mod error;
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
