//! What the encoding thread has done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared with the encoding thread.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) pictures: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) decoding: AtomicU64,
    pub(super) encoding: AtomicU64,
}

impl Counters {
    pub(super) fn decoded(&self, time: Duration) {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        self.decoding
            .fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn encoded(&self, time: Duration, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.encoding
            .fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
}
