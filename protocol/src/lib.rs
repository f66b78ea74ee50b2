//! authloop protocol.
