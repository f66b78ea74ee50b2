//! What the gate before a browser decides, without sockets, clock or randomness.

#![forbid(unsafe_code)]

mod core;

pub use self::core::{ClientId, Core, Kept, Mode, Output, Role};
