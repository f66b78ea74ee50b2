//! Private rooms: browsers of the host's own in which users sign in, and what moves from them to the
//! agent's browser.
//!
//! A [`RoomPool`] keeps [`Room`]s warm. A room begins at an address that [`fresh_address`] or
//! [`as_is_address`] allows and ends with a [`Bundle`] of what the [`Grant`] covers, without anything of the
//! [`TypedSecrets`]; the bundle is planted into the agent's browser once the room is gone. Nothing that an agent
//! chose goes into a room begun `fresh`, and nothing that was typed comes out (`docs/ROOMS.md`).

#![forbid(unsafe_code)]

mod bundle;
mod client;
mod empty_page;
mod grant;
mod plant;
mod pool;
mod profile;
mod read;
mod room;
mod site;
mod start;
mod typed;

pub use bundle::{Bundle, Cookie, Item, OriginStorage, PartitionKey};
pub use client::ClientIdentity;
pub use grant::{Grant, GrantError, MAX_GRANTED_SITES};
pub use plant::PlantError;
pub use pool::{Isolation, RoomError, RoomPool, RoomSettings, TakenRoom};
pub use room::Room;
pub use site::{Site, SiteError};
pub use start::{HistoryEntry, StartError, as_is_address, fresh_address};
pub use typed::{
    MAX_DEPTH, MAX_EXACT_CHARS, MAX_TEXT_BYTES, MAX_VALUE_BYTES, MAX_VALUES, MAX_WORK_RATIO,
    MIN_ANYWHERE_CHARS, MIN_CHARS, TypedSecrets,
};
