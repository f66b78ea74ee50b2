//! A thin, lenient CDP client that touches only the pages it was asked to.
//!
//! [`Browser::connect`] opens any CDP address, and [`Browser::attach`] gives a [`Page`], which takes
//! commands and gives events. Below them one [`Connection`] carries the commands of all sessions over a
//! [`Transport`]: a WebSocket, the debugging pipe of a browser that [`Launch`] started, or a task in
//! this process.

#![forbid(unsafe_code)]

mod browser;
mod connection;
mod endpoint;
mod error;
mod ids;
mod launch;
mod page;
mod transport;

pub use browser::{Browser, TargetInfo};
pub use connection::{Connection, Event, EventScope, EventStream};
pub use error::BrowserError;
pub use ids::{CdpSessionId, FrameId, TargetId};
pub use launch::{Launch, LaunchedBrowser, PipedBrowser};
pub use page::{Page, frames_in};
pub use transport::Transport;
