//! authloop loadtest.
