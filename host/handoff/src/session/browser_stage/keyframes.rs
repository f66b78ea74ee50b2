//! Which keyframe requests mean it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

/// Chromium asks for a keyframe when it got no frame for 3 s, loss or no loss; an idle page sends
/// none. Answered, that would be a whole picture every 3 s for as long as the page is idle.
const MIN_SILENCE: Duration = Duration::from_millis(2500);
/// A decoder that is really stuck asks again within this time.
const MAX_REPEAT_INTERVAL: Duration = Duration::from_millis(1500);

/// Judges the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequests {
    doubted: Option<Instant>,
}

impl KeyframeRequests {
    /// Whether a request at `now` is to be answered, the last frame having left at `sent`.
    pub(super) fn is_needed(&mut self, now: Instant, sent: Option<Instant>) -> bool {
        let silent = sent.is_some_and(|sent| now.duration_since(sent) >= MIN_SILENCE);
        let again = self
            .doubted
            .is_some_and(|doubted| now.duration_since(doubted) <= MAX_REPEAT_INTERVAL);
        self.doubted = (silent && !again).then_some(now);
        !silent || again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::some_time;

    #[test]
    fn only_a_silent_streams_single_request_is_passed_over() {
        let start = some_time();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requests = KeyframeRequests::default();

        assert!(requests.is_needed(at(0), None), "nothing was ever sent");
        assert!(
            requests.is_needed(at(500), Some(at(0))),
            "loss in a lively stream"
        );
        assert!(!requests.is_needed(at(3000), Some(at(0))), "only silence");
        assert!(
            requests.is_needed(at(3300), Some(at(0))),
            "asked again: stuck"
        );
        assert!(!requests.is_needed(at(9000), Some(at(0))), "silence anew");
        assert!(
            !requests.is_needed(at(12_000), Some(at(0))),
            "much later is not again"
        );
    }
}
