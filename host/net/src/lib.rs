//! What the host's listeners and clients share: [`Limited`] bounds the connections of a listener, and
//! [`tls_config`] says which certificates a client trusts.

#![forbid(unsafe_code)]

mod limit;
mod tls;

pub use limit::{Held, Limited};
pub use tls::{TlsError, tls_config};
