//! authloop tests.
