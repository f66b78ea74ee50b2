//! Input and storage state against a real headless Chromium and tiny local pages.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod input;
mod storage;
