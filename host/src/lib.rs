//! The part of authloop that runs beside the browser: CDP, capture, encoding, input, the WebRTC peer
//! and the handoff itself.

#![deny(unsafe_code)]

pub mod mcp;
