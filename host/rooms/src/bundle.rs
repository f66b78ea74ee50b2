//! What moves between browsers: cookies and what sites store, in Playwright's storage-state format. Pure.
//!
//! One type serves three ways: what the agent's browser gets from a room, what a room begun `as_is` gets from
//! the agent's browser, and the storage state that an agent may ask for. Values are secrets: they are in no
//! `Debug` output and are zeroed when dropped.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cookie;
mod json;
mod limits;

use secrecy::{ExposeSecret as _, SecretString};

pub use cookie::{Cookie, PartitionKey};
pub(crate) use cookie::{CookieScope, cookies_from_cdp};

/// The databases of an origin that has none, as JSON.
pub(crate) const NO_DATABASES: &str = "[]";

/// Cookies, and what origins store.
#[derive(Default)]
pub struct Bundle {
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) origins: Vec<OriginStorage>,
}

/// What one origin stores.
pub struct OriginStorage {
    /// The origin (RFC 6454).
    pub(crate) origin: String,
    /// `localStorage`.
    pub(crate) local: Vec<Item>,
    /// `sessionStorage` of the tab that was read.
    pub(crate) session: Vec<Item>,
    /// IndexedDB: an array of databases in Playwright's form, as JSON.
    pub(crate) databases: SecretString,
}

/// One entry of a storage.
pub struct Item {
    pub(crate) name: String,
    pub(crate) value: SecretString,
}

impl Bundle {
    /// How many cookies it holds.
    pub fn cookie_count(&self) -> usize {
        self.cookies.len()
    }
}

impl OriginStorage {
    pub(crate) fn is_empty(&self) -> bool {
        self.local.is_empty()
            && self.session.is_empty()
            && self.databases.expose_secret() == NO_DATABASES
    }
}

/// Counts only.
impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("cookies", &self.cookies.len())
            .field("origins", &self.origins.len())
            .finish()
    }
}

/// Its name only.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The origin only.
impl std::fmt::Debug for OriginStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginStorage")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
