//! authloop host.
