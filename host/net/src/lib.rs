//! What the host's listeners and clients share: [`LimitedListener`] bounds the connections of a listener, and
//! [`tls_config`] says which certificates a client trusts.

#![forbid(unsafe_code)]

mod limited_listener;
mod tls;

pub use limited_listener::{LimitedListener, LimitedStream};
pub use tls::{TlsError, tls_config};
