//! Exactly-once input: which frames of a stream have been applied, across connections.

use zeroize::Zeroizing;

use crate::{
    frame::MAX_INPUT_BYTES,
    input::{InputError, InputEvent},
};

/// The host's side of one viewer's input stream; it outlives peer connections.
#[derive(Debug)]
pub struct InputSequence {
    stream: [u8; 16],
    applied: u64,
    partial: Zeroizing<Vec<u8>>,
    partial_epoch: Option<u32>,
}

/// What an accepted frame brought.
#[derive(Debug)]
pub enum AcceptedFrame {
    /// A whole message: an event to apply, or why it cannot be one. Its sequence is spent.
    Message {
        /// The epoch the message was meant for.
        epoch: u32,
        /// The event.
        event: Result<InputEvent, InputError>,
    },
    /// A part of a message; more is to come.
    Part,
    /// A frame that had been applied before.
    Duplicate,
}

/// A frame that leaves a hole: the peer is broken, or something ate a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input frame {got} came where {expected} was due")]
pub struct SequenceGap {
    /// The sequence that was due.
    pub expected: u64,
    /// The sequence that came.
    pub got: u64,
}

impl InputSequence {
    /// An empty stream.
    #[must_use]
    pub fn new(stream: [u8; 16]) -> Self {
        Self {
            stream,
            applied: 0,
            partial: Zeroizing::default(),
            partial_epoch: None,
        }
    }

    /// Goes on with `stream` if it is the same page's, else starts anew.
    pub fn resume(&mut self, stream: [u8; 16]) {
        if stream != self.stream {
            *self = Self::new(stream);
        }
    }

    /// The last sequence taken in.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Takes the next frame in.
    ///
    /// # Errors
    /// [`SequenceGap`] when a frame before it is missing; nothing changes.
    pub fn accept(
        &mut self,
        sequence: u64,
        epoch: u32,
        more: bool,
        body: &[u8],
    ) -> Result<AcceptedFrame, SequenceGap> {
        if sequence <= self.applied {
            return Ok(AcceptedFrame::Duplicate);
        }
        let expected = self.applied + 1;
        if sequence != expected {
            return Err(SequenceGap {
                expected,
                got: sequence,
            });
        }
        self.applied = sequence;
        // The first part decides what page the whole was meant for.
        let epoch = *self.partial_epoch.get_or_insert(epoch);
        let room = MAX_INPUT_BYTES.saturating_sub(self.partial.len());
        // One byte over the limit is kept as the mark of a message too long to apply.
        self.partial
            .extend_from_slice(&body[..body.len().min(room + 1)]);
        if more {
            return Ok(AcceptedFrame::Part);
        }
        let message = std::mem::take(&mut self.partial);
        self.partial_epoch = None;
        Ok(AcceptedFrame::Message {
            epoch,
            event: parse(&message),
        })
    }
}

fn parse(message: &[u8]) -> Result<InputEvent, InputError> {
    if message.len() > MAX_INPUT_BYTES {
        return Err(InputError::TooLong);
    }
    let event: InputEvent = serde_json::from_slice(message).map_err(|_| InputError::Malformed)?;
    event.check()?;
    Ok(event)
}
