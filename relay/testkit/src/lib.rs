//! What tests of the relay share, in this crate and in those that drive a relay.
//!
//! - [`IceAgent`] is one endpoint: it writes checks and answers the relay's.
//! - [`World`] is one relay with its agents and a clock that only the test moves.
//! - [`turn_client`] speaks TURN from the RFCs, and shares no code with the server.
//! - [`counting_allocator`] counts allocations, for tests that bound memory.
//!
//! Everything here panics when something is not as it must be: that is how a test fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod counting_allocator;
mod ice_agent;
pub mod turn_client;
mod world;

pub use counting_allocator::CountingAllocator;
pub use ice_agent::IceAgent;
pub use turn_client::{TurnClient, TurnReply};
pub use world::{RELAY, SentDatagrams, World, credentials, session_id};
