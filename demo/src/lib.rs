//! The demo: a browser before a sign-in page, handed to you by a link; and that sign-in site.
//!
//! The end-to-end tests use the same site, as the binary `authloop-site`.

#![forbid(unsafe_code)]

pub mod demo;
pub mod site;
