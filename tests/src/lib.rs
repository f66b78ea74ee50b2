//! The demo, and everything the end-to-end tests need.

#![forbid(unsafe_code)]

pub mod site;
