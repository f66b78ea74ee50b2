//! The words that authloop's parts share on the wire, and the sealing that keeps them private.
//!
//! Pure: no sockets, no clock; randomness is passed in. The prose form is `docs/PROTOCOL.md`.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod device;
pub mod frame;
pub mod id;
pub mod input;
pub mod invitation;
pub mod link;
pub mod native;
pub mod origin;
pub mod output;
pub mod quantity;
pub mod seal;
pub mod sequence;
pub mod signal;
