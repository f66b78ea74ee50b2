//! A blind relay for WebRTC as a pure state machine: what to do with each datagram, and nothing else.
//!
//! Two endpoints that cannot reach each other each reach the relay instead. The relay authenticates
//! both by ICE and then passes DTLS and SRTP from one to the other as they came. It never holds a key
//! that opens what it passes, so it can be run by someone who must not see the content.
//!
//! A *session* joins two *legs*, host and viewer. Each leg is an ICE-lite agent (RFC 8445) with
//! credentials of its own, of which the endpoint is told by signaling. An endpoint that proves by a
//! connectivity check that it knows them gets a *path*. The source of a check can be forged, so the
//! relay checks back: once an answer has proved that the address receives, everything else that comes
//! from it goes to the other leg. Until then it gets at most three times what came from it.
//!
//! # Layers
//!
//! From the bottom up; each can be used by itself.
//!
//! - [`stun`] parses and writes Binding messages (RFC 8489), without copying and without panicking.
//! - [`DatagramKind`] tells STUN, DTLS and SRTP apart by the first byte (RFC 7983).
//! - [`Relay`] has the sessions and decides what happens to a datagram.
//! - [`rfc4571`] and [`turn`] unwrap datagrams from byte streams, for endpoints that can use TCP or TLS
//!   only: ICE-TCP, and a TURN server that reaches nothing but the client's own leg.
//!
//! # Contract
//!
//! There are no sockets, no clock and no randomness here: the caller brings them.
//!
//! - Every `handle_*` is given the time, which must not run backwards, and the seed given to
//!   [`Relay::new`] must come from the operating system.
//! - After any `handle_*` or command, drain [`Relay::poll_output`] and [`Relay::poll_event`] before the
//!   next: both queues are bounded, and what does not fit is dropped and counted.
//! - Call [`Relay::handle_timeout`] when [`Relay::poll_timeout`] says so, or at least a few times a
//!   second; it ends the paths whose consent has expired (RFC 7675).
//!
//! Errors of datagrams are no errors of the caller's: they are counted in [`RelayCounters`], each
//! with its reason.
//!
//! # Example
//!
//! ```
//! use std::time::Instant;
//! use authloop_relay::{LegCredentials, Legs, PathAddr, Relay, RelaySessionId};
//!
//! // In earnest, all of these bytes are random.
//! let mut relay = Relay::new(Instant::now(), [7; 32]);
//! let credentials = Legs {
//!     host: LegCredentials::from_entropy(&[1; LegCredentials::ENTROPY_BYTES]),
//!     viewer: LegCredentials::from_entropy(&[2; LegCredentials::ENTROPY_BYTES]),
//! };
//! relay.open_session(RelaySessionId([0; 16]), credentials)?;
//!
//! // For each datagram from the socket:
//! let (src, datagram) = (PathAddr::from_v4([192, 0, 2, 1], 50_000), [0x80, 0x60]);
//! if let Some(to) = relay.handle_input(Instant::now(), src, &datagram) {
//!     println!("pass it on to {to}");
//! }
//! while let Some(transmit) = relay.poll_output() {
//!     println!("send {} bytes to {}", transmit.payload.len(), transmit.to);
//! }
//! while let Some(event) = relay.poll_event() {
//!     println!("{event:?}");
//! }
//! // A stranger: nothing was passed on.
//! assert_eq!(relay.counters().forwarded_packets, 0);
//! # Ok::<(), authloop_relay::RelayError>(())
//! ```

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

pub use addr::{LocalAddrId, PathAddr};
pub use credentials::{CredentialsError, LegCredentials, LocalPwd, LocalUfrag, RemoteCredentials};
pub use demux::DatagramKind;
pub use output::Transmit;
pub use relay::{Relay, RelayError, RelayEvent};
pub use routes::{Leg, Legs, RelaySessionId};
pub use stats::{DropReason, RelayCounters, StunOutcome};

/// The longest datagram that is passed on; WebRTC sends none above the path's MTU.
pub const MAX_DATAGRAM_BYTES: usize = 2048;
