//! What the relay itself wants sent, in one bounded arena.

use std::collections::VecDeque;

use crate::PathAddr;

/// Bytes that may wait between two drains. A caller drains after each input, so few ever do.
const MAX_WAITING_BYTES: usize = 64 * 1024;

/// One datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where it goes.
    pub to: PathAddr,
    /// What it carries.
    pub payload: &'a [u8],
}

/// A first-in first-out queue whose payloads lie side by side.
#[derive(Debug)]
pub(crate) struct OutputQueue {
    arena: Vec<u8>,
    queue: VecDeque<(PathAddr, u32, u32)>,
}

impl OutputQueue {
    pub(crate) fn new() -> Self {
        Self {
            arena: Vec::with_capacity(4096),
            queue: VecDeque::with_capacity(16),
        }
    }

    /// Queues what `write` appends, unless `max_bytes` more would not fit.
    pub(crate) fn push(
        &mut self,
        to: PathAddr,
        max_bytes: usize,
        write: impl FnOnce(&mut Vec<u8>) -> usize,
    ) -> Option<usize> {
        let start = self.arena.len();
        if start + max_bytes > MAX_WAITING_BYTES {
            return None;
        }
        let length = write(&mut self.arena);
        self.queue.push_back((to, start as u32, length as u32));
        Some(length)
    }

    pub(crate) fn pop(&mut self) -> Option<Transmit<'_>> {
        let Some((to, start, length)) = self.queue.pop_front() else {
            self.arena.clear();
            return None;
        };
        let range = start as usize..(start + length) as usize;
        let payload = self.arena.get(range)?;
        Some(Transmit { to, payload })
    }
}
