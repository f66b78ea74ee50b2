//! authloop signaling.
