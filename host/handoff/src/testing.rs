//! What tests of pure modules take from outside.

use std::time::Instant;

/// A time to start from. The modules themselves have no clock, not even in tests.
pub(crate) fn some_time() -> Instant {
    Instant::now()
}
