//! The blind relay's pure core: what to do with each datagram, and nothing else.
//!
//! A *session* joins two *legs*, host and viewer. Each leg is an ICE-lite agent with credentials of
//! its own. Once an endpoint has proved that it knows them, everything else it sends is passed, as
//! it came, to the other leg. The core never holds a key that opens what it passes.
//!
//! There are no sockets, no clock and no randomness here. The caller feeds [`Relay::handle_input`]
//! and [`Relay::handle_timeout`] the time, then drains [`Relay::poll_output`] and
//! [`Relay::poll_event`] before it mutates again.

#![forbid(unsafe_code)]

mod addr;
mod credentials;
mod demux;
mod leg;
mod output;
mod path;
mod pending;
mod relay;
pub mod rfc4571;
mod routes;
mod stats;
pub mod stun;
pub mod turn;

pub use addr::PathAddr;
pub use credentials::{CredentialsError, LegCredentials, LocalPwd, LocalUfrag, RemoteCredentials};
pub use demux::Kind;
pub use output::Transmit;
pub use relay::{Event, Relay, RelayError};
pub use routes::{Leg, Legs, SessionId};
pub use stats::{Counters, DropReason, StunOutcome};

/// What the kernel hands up at most from one datagram: anything longer is not ours.
pub const MAX_DATAGRAM: usize = 2048;
