//! What the user does, done to the page.
//!
//! [`InputState`] is the pure core: from an event to CDP commands, keeping what is held down.
//! [`Injector`] sends them to the shown page, in order.

mod core;
mod injector;
mod keys;
mod merge;
mod touch_clock;

pub use self::core::{Command, InputState};
pub use injector::{Injector, InjectorClosed};
