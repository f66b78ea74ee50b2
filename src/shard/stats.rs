//! What a shard counts beside the core: sockets, batches, sizes.

use authloop_relay::RelayCounters;

/// The relay's totals, and how much it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Packets by fate, from the core.
    pub counters: RelayCounters,
    /// What went through the sockets.
    pub socket: SocketStats,
    /// Open sessions now.
    pub sessions: usize,
    /// Legs with a validated path now.
    pub connected_legs: usize,
}

/// What went through a shard's socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// Datagrams received.
    pub received_packets: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Datagrams handed to the kernel.
    pub sent_packets: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Datagrams longer than any buffer: dropped.
    pub truncated: u64,
    /// Datagrams dropped because the socket's send buffer was full.
    pub send_full: u64,
    /// Datagrams that the kernel refused to send.
    pub send_errors: u64,
    /// Times that receiving failed.
    pub receive_errors: u64,
    /// Datagrams per receive call.
    pub receive_batches: BatchSizeHistogram,
    /// Datagrams per send call.
    pub send_batches: BatchSizeHistogram,
}

/// How many calls moved up to 1, 2, 4, 8, 16, 32 and 64 datagrams, not cumulative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchSizeHistogram(pub [u64; BatchSizeHistogram::BOUNDS.len()]);

impl BatchSizeHistogram {
    /// The upper bound of each bucket, inclusive; the last takes all that is larger, too.
    pub const BOUNDS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

    pub(super) fn count(&mut self, size: usize) {
        let bucket = size.max(1).next_power_of_two().trailing_zeros() as usize;
        self.0[bucket.min(Self::BOUNDS.len() - 1)] += 1;
    }

    fn plus(mut self, other: &Self) -> Self {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
        self
    }
}

impl RelayStats {
    pub(super) fn plus(&self, other: &Self) -> Self {
        let (a, b) = (&self.socket, &other.socket);
        Self {
            counters: self.counters.plus(&other.counters),
            socket: SocketStats {
                received_packets: a.received_packets + b.received_packets,
                received_bytes: a.received_bytes + b.received_bytes,
                sent_packets: a.sent_packets + b.sent_packets,
                sent_bytes: a.sent_bytes + b.sent_bytes,
                truncated: a.truncated + b.truncated,
                send_full: a.send_full + b.send_full,
                send_errors: a.send_errors + b.send_errors,
                receive_errors: a.receive_errors + b.receive_errors,
                receive_batches: a.receive_batches.plus(&b.receive_batches),
                send_batches: a.send_batches.plus(&b.send_batches),
            },
            sessions: self.sessions + other.sessions,
            connected_legs: self.connected_legs + other.connected_legs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_counted_under_the_smallest_bound_that_holds_it() {
        let mut batches = BatchSizeHistogram::default();

        for size in [1, 2, 3, 4, 5, 33, 64, 200] {
            batches.count(size);
        }

        assert_eq!(batches.0, [1, 1, 2, 1, 0, 0, 3]);
    }
}
