//! What an audit log says of itself.

use serde::Serialize;

/// An event of the log's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum LogEvent {
    SegmentStarted,
    /// The last line had no end when the log was opened: these bytes were cut off.
    TornLineCut {
        bytes: u64,
        sha256: String,
    },
    /// The newest segment was not as written when the log was opened; from this line of it on.
    DamageFound {
        line: u64,
    },
    /// Segments older than the log is kept were removed, up to this line.
    SegmentsDropped {
        count: usize,
        last: u64,
    },
    /// Events that found the queue full.
    EventsLost {
        count: u64,
    },
    /// Refusals beyond the rate at which they are kept.
    RefusalsOmitted {
        count: u64,
    },
}
