//! authloop relay.
