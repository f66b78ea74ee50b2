//! What the server and the host share at their listeners and settings: [`ConnectionLimiter`] counts the
//! open connections, by [`ClientNetwork`] too, [`GuardedStream`] is one of them, [`LimitedListener`] lets further ones wait,
//! [`serve_http`] gives none to clients that say nothing, [`tls_config`] says which certificates a client trusts, and [`nearest_key()`] finds what a misspelt
//! setting was meant to be.

#![forbid(unsafe_code)]

mod client_network;
mod connection_limiter;
mod guarded_stream;
mod http_server;
mod limited_listener;
mod nearest_key;
mod tls;

pub use client_network::ClientNetwork;
pub use connection_limiter::{ConnectionLimiter, ConnectionPermit, LimitReached};
pub use guarded_stream::{GuardedStream, WriteStallObserver};
pub use http_server::serve_http;
pub use limited_listener::LimitedListener;
pub use nearest_key::nearest_key;
pub use tls::{TlsError, tls_config};
