//! One picture, as Chromium sent it.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Base64 of a JPEG that is searched for its size: enough for the segments before the frame header, a
/// colour profile included.
const MAX_HEADER_BASE64_BYTES: usize = 8192;

/// A JPEG of the page.
#[derive(Clone)]
pub struct CapturedFrame {
    data: String,
    /// When Chromium drew it, on the browser's monotonic clock.
    pub captured: Duration,
    /// When it reached the host.
    pub received: Instant,
}

impl CapturedFrame {
    pub(super) fn new(data: String, captured: Duration) -> Self {
        Self {
            data,
            captured,
            received: Instant::now(),
        }
    }

    /// The JPEG file, decoded from base64 into `out`; false if it is not base64.
    pub fn jpeg(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        STANDARD.decode_vec(&self.data, out).is_ok()
    }

    /// The size in the JPEG's header.
    pub fn size(&self) -> Option<(u32, u32)> {
        let head = self.data.len().min(MAX_HEADER_BASE64_BYTES) & !3;
        let head = STANDARD.decode(self.data.get(..head)?).ok()?;
        jpeg_size(&head)
    }
}

/// Sizes only: the picture may show anything.
impl std::fmt::Debug for CapturedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedFrame")
            .field("bytes", &(self.data.len() / 4 * 3))
            .field("captured", &self.captured)
            .finish_non_exhaustive()
    }
}

/// Recognises a payload that equals the one before it.
#[derive(Debug, Default)]
pub(super) struct RepeatDetector {
    /// Keyed at random, so that no page can make two pictures look the same.
    hasher: RandomState,
    last_hash: Option<u64>,
}

impl RepeatDetector {
    pub(super) fn is_repeat(&mut self, payload: &str) -> bool {
        let hash = self.hasher.hash_one(payload);
        self.last_hash.replace(hash) == Some(hash)
    }

    pub(super) fn forget(&mut self) {
        self.last_hash = None;
    }
}

/// When a screencast frame was drawn: by the monotonic clock where Chromium gives it (since 2025),
/// else by the wall clock, which is as good until it is set.
pub(super) fn capture_time(metadata: &Value) -> Option<Duration> {
    let seconds = metadata["monotonicTimestamp"]
        .as_f64()
        .or_else(|| metadata["timestamp"].as_f64())?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Finds the frame header (ITU-T T.81, B.2.2) in the beginning of a JPEG.
fn jpeg_size(jpeg: &[u8]) -> Option<(u32, u32)> {
    let mut rest = jpeg.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let [0xFF, marker, high, low, ..] = *rest else {
            return None;
        };
        let is_frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        if is_frame {
            let [h1, h0, w1, w0] = *rest.get(5..9)?.first_chunk::<4>()?;
            let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Some((side(w1, w0), side(h1, h0)));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(2 + length.max(2)..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_size_is_found_behind_other_segments() {
        let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2];
        jpeg.extend([0xFF, 0xC0, 0, 17, 8, 0x06, 0x98, 0x03, 0x0C, 3]);

        assert_eq!(jpeg_size(&jpeg), Some((780, 1688)));
    }

    #[test]
    fn a_repeat_is_one_of_the_last_only() {
        let mut repeats = RepeatDetector::default();

        let seen: Vec<bool> = ["a", "a", "b", "a"]
            .iter()
            .map(|payload| repeats.is_repeat(payload))
            .collect();

        assert_eq!(seen, [false, true, false, false]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_header_parser(bytes: Vec<u8>) {
            let _size = jpeg_size(&bytes);
            let mut jpeg = vec![0xFF, 0xD8];
            jpeg.extend(bytes);
            let _size = jpeg_size(&jpeg);
        }
    }
}
