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
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

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
pub use demux::DatagramKind;
pub use output::Transmit;
pub use relay::{Relay, RelayError, RelayEvent};
pub use routes::{Leg, Legs, RelaySessionId};
pub use stats::{DropReason, RelayCounters, StunOutcome};

/// The longest datagram that is passed on; WebRTC sends none above the path's MTU.
pub const MAX_DATAGRAM_BYTES: usize = 2048;
