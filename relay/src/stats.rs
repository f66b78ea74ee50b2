//! What the relay counts: plain numbers, copied out whole.

/// Why a datagram ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// First byte of no protocol that is passed on, or an empty datagram.
    FirstByte,
    /// Not STUN, and the source never proved itself.
    UnknownSource,
    /// The source knows a leg's password, but did not prove yet that it receives what is sent there.
    UnprovenSource,
    /// The path's last authenticated check is older than 30 s.
    ConsentExpired,
    /// The other leg has no path yet, and the packet is none of those kept for it.
    PeerNotReady,
    /// The few packets kept for an unready leg are all taken.
    BufferFull,
    /// The destination did not yet prove that it receives what is sent there.
    Amplification,
    /// More answers were due at once than the output holds.
    OutputFull,
}

/// How a STUN message fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StunOutcome {
    /// A check that was authenticated and answered.
    Answered,
    /// An answer to the relay's own check: the path is proven.
    Proven,
    /// Not a well-formed Binding message.
    Malformed,
    /// Another method, an indication, or an error response.
    Ignored,
    /// Needs an attribute that the relay does not know.
    UnknownAttribute,
    /// Names no leg.
    UnknownUfrag,
    /// FINGERPRINT is wrong.
    Fingerprint,
    /// MESSAGE-INTEGRITY is missing or wrong.
    Integrity,
    /// An earlier check, come again from elsewhere while the leg's own path is alive.
    Replayed,
    /// The address is proven for another leg that is alive.
    AddressTaken,
    /// The leg has as many live paths as it may.
    TooManyPaths,
    /// Answers nothing that was asked.
    Unsolicited,
}

impl DropReason {
    /// Every reason, in counting order.
    pub const ALL: [Self; 8] = [
        Self::FirstByte,
        Self::UnknownSource,
        Self::UnprovenSource,
        Self::ConsentExpired,
        Self::PeerNotReady,
        Self::BufferFull,
        Self::Amplification,
        Self::OutputFull,
    ];

    /// The reason as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte",
            Self::UnknownSource => "unknown_source",
            Self::UnprovenSource => "unproven_source",
            Self::ConsentExpired => "consent_expired",
            Self::PeerNotReady => "peer_not_ready",
            Self::BufferFull => "buffer_full",
            Self::Amplification => "amplification",
            Self::OutputFull => "output_full",
        }
    }
}

impl StunOutcome {
    /// Every outcome, in counting order.
    pub const ALL: [Self; 12] = [
        Self::Answered,
        Self::Proven,
        Self::Malformed,
        Self::Ignored,
        Self::UnknownAttribute,
        Self::UnknownUfrag,
        Self::Fingerprint,
        Self::Integrity,
        Self::Replayed,
        Self::AddressTaken,
        Self::TooManyPaths,
        Self::Unsolicited,
    ];

    /// The outcome as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Proven => "proven",
            Self::Malformed => "malformed",
            Self::Ignored => "ignored",
            Self::UnknownAttribute => "unknown_attribute",
            Self::UnknownUfrag => "unknown_ufrag",
            Self::Fingerprint => "fingerprint",
            Self::Integrity => "integrity",
            Self::Replayed => "replayed",
            Self::AddressTaken => "address_taken",
            Self::TooManyPaths => "too_many_paths",
            Self::Unsolicited => "unsolicited",
        }
    }
}

/// Totals since the relay began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Packets passed on, kept ones included.
    pub forwarded_packets: u64,
    /// Their payload bytes.
    pub forwarded_bytes: u64,
    /// Times that a leg moved from one path to another.
    pub migrations: u64,
    /// Events that nobody came for in time.
    pub lost_events: u64,
    drops: [u64; DropReason::ALL.len()],
    stun: [u64; StunOutcome::ALL.len()],
}

impl RelayCounters {
    /// Datagrams dropped for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// STUN messages that fared one way.
    #[must_use]
    pub fn stun(&self, outcome: StunOutcome) -> u64 {
        self.stun[outcome as usize]
    }

    /// Sums two shards' totals.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.forwarded_packets += other.forwarded_packets;
        self.forwarded_bytes += other.forwarded_bytes;
        self.migrations += other.migrations;
        self.lost_events += other.lost_events;
        for (sum, more) in self.drops.iter_mut().zip(&other.drops) {
            *sum += more;
        }
        for (sum, more) in self.stun.iter_mut().zip(&other.stun) {
            *sum += more;
        }
        self
    }

    #[inline]
    pub(crate) fn drop_packet(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    pub(crate) fn count_stun(&mut self, outcome: StunOutcome) {
        self.stun[outcome as usize] += 1;
    }

    #[inline]
    pub(crate) fn forward(&mut self, bytes: usize) {
        self.forwarded_packets += 1;
        self.forwarded_bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_counts_at_its_own_place() {
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{}", reason.label());
        }
        for (at, outcome) in StunOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at, "{}", outcome.label());
        }
    }
}
