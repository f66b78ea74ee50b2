//! Private rooms: browsers of the host's own in which users sign in, and what moves from them to the
//! agent's browser.

#![forbid(unsafe_code)]

mod grant;
mod site;
mod start;

pub use grant::{Grant, GrantError, MAX_GRANTED_SITES};
pub use site::{Site, SiteError};
pub use start::{HistoryEntry, StartError, as_is_address, fresh_address};
