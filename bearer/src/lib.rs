//! Bearer keys and tokens, as the server and the agent API know them. Pure: no files, clock or randomness.
//!
//! [`key_lines`] and [`hash_key`] read a file of keys, [`SecretHash`] is all that is kept of one,
//! [`bearer_token`] is what a request presents, and [`find_key`] tells which key that is. What a key may do,
//! and how often, is up to the caller.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod keys;
mod secret_hash;
mod token;

pub use keys::{MIN_KEY_BYTES, find_key, hash_key, key_lines};
pub use secret_hash::SecretHash;
pub use token::bearer_token;
