//! Signaling over real sockets, with a relay that only takes notes.

mod claims;
mod closing;
mod messages;
mod page;
mod relay;
mod rest;
mod support;
