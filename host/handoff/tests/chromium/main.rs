//! The browser half of the host against a real headless Chromium and tiny local pages.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod browser;
mod common;
mod input;
mod storage;
mod video;
