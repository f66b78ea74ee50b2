//! From the pages of a browser to video, and over WebRTC to the viewer.
//!
//! [`capture`] takes a picture whenever the page changes, [`encode`] makes video of the pictures, and
//! [`peer`] sends it, and carries the data channel beside it. The codecs and WebRTC are linked by this
//! crate alone.

#![deny(unsafe_code)]

pub mod capture;
pub mod encode;
pub mod peer;
#[cfg(test)]
mod testing;
