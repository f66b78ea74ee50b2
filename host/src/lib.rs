//! authloop host.

pub mod browser;
pub mod capture;
pub mod encode;
