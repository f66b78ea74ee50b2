//! What the encoding thread has done so far.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Shared with the encoding thread.
#[derive(Debug, Default)]
pub(super) struct EncodeCounters {
    pub(super) pictures: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) decoding_micros: AtomicU64,
    pub(super) encoding_micros: AtomicU64,
}

impl EncodeCounters {
    pub(super) fn add_decoded(&self, time: Duration) {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        self.decoding_micros
            .fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn add_encoded(&self, time: Duration, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.encoding_micros
            .fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
}
