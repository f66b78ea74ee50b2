//! Why sealed bytes are refused.

/// A blob, record or frame that must not be used. Nothing tells the sender which check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was not sealed by the peer for this session and place.
    #[error("the sealed message is refused")]
    Refused,
    /// It has been seen before, or comes out of order.
    #[error("the sealed message is a replay")]
    Replayed,
    /// The counter has no more values.
    #[error("the sealing counter is exhausted")]
    Exhausted,
}
