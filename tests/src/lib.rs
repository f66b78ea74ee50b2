//! The demo, and everything the end-to-end tests need.

#![forbid(unsafe_code)]

pub mod canary;
pub mod demo;
pub mod site;
