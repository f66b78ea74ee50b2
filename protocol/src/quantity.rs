//! Data rates and data sizes as types, and the one account of a backlog that drains at a rate.
//!
//! The units of media code are easily confused: encoders count bytes, estimators bits a second, and
//! a forgotten factor of eight still compiles. [`DataSize`] and [`Bitrate`] keep the unit in the
//! constructor's and the accessor's name and combine only as physics allows:
//!
//! ```
//! use std::time::Duration;
//! use authloop_protocol::quantity::{Bitrate, DataSize};
//!
//! let link = Bitrate::from_kbps(800);
//! assert_eq!(link * Duration::from_millis(500), DataSize::from_bytes(50_000));
//! assert_eq!(DataSize::from_bytes(100_000) / link, Duration::from_secs(1));
//! assert_eq!(DataSize::from_bytes(100_000) / Duration::from_secs(1), link);
//! ```
//!
//! Both hold fractions, because estimates are averages. Neither is ever negative or NaN, so both are
//! totally ordered. There is no clock here: [`LeakyBucket`] is given the time.

mod bucket;
mod units;

pub use bucket::LeakyBucket;
pub use units::{Bitrate, DataSize};
