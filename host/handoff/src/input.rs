//! What the user does, done to the page.
//!
//! [`InputState`] goes from an event to CDP commands and keeps what is held down; it does no I/O.
//! [`Injector`] sends them to the shown page, in order.

mod core;
mod injector;
mod keys;
mod merge;
mod touch_clock;

pub use self::core::{Command, InputState};
pub use injector::{Injector, InjectorClosed};
