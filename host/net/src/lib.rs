//! What the host's listeners and clients share: [`LimitedListener`] bounds the connections of a listener, and
//! [`tls_config`] says which certificates a client trusts. [`nearest_key`] is for both programs' settings:
//! it finds what a misspelt one was meant to be.

#![forbid(unsafe_code)]

mod limited_listener;
mod nearest_key;
mod tls;

pub use limited_listener::{LimitedListener, LimitedStream};
pub use nearest_key::nearest_key;
pub use tls::{TlsError, tls_config};
