//! How much load fits under a limit of descriptors, the same for server and load generator.

use serde::Serialize;

/// Descriptors that a process needs for itself: listeners, timers, wakers, files.
const OWN_DESCRIPTORS: u64 = 96;

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct LoadPlan {
    /// Registered sessions, each with its host's WebSocket.
    pub sessions: u64,
    /// Sockets that passed their first frame and dawdle; an even number, hosts and viewers.
    pub slow: u64,
    /// Sockets that never say anything.
    pub silent: u64,
    /// Claims a second.
    pub claims: u64,
}

impl LoadPlan {
    /// What of this fits: first the slow sockets shrink, then the sessions.
    pub(crate) fn within(self, descriptors: u64) -> Self {
        let room = descriptors.saturating_sub(OWN_DESCRIPTORS + self.passing());
        let sessions = self.sessions.min(room);
        let slow = self.slow.min(room - sessions);
        Self {
            sessions,
            slow: slow - slow % 2,
            ..self
        }
    }

    /// Descriptors that all of it needs.
    pub(crate) fn descriptors(&self) -> u64 {
        OWN_DESCRIPTORS + self.passing() + self.sessions + self.slow
    }

    /// Sockets that stay open.
    pub(crate) fn standing(&self) -> u64 {
        self.sessions + self.slow
    }

    /// Sessions that are open at once: two slow sockets share one.
    pub(crate) fn registered(&self) -> u64 {
        self.sessions + self.slow / 2
    }

    /// Sockets that come and go: a silent one may be on its way out beside its successor, and a
    /// claim takes a second where the server misses its target twice over.
    fn passing(&self) -> u64 {
        self.silent * 2 + self.claims
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_are_kept_before_slow_sockets() {
        let wanted = LoadPlan {
            sessions: 10_000,
            slow: 50_000,
            silent: 200,
            claims: 50,
        };

        let fits = wanted.within(20_000);

        assert_eq!(fits.sessions, 10_000);
        assert!((9_000..10_000).contains(&fits.slow), "{fits:?}");
        assert_eq!(wanted.within(wanted.descriptors()), wanted);
    }

    proptest! {
        #[test]
        fn never_more_than_wanted_nor_than_fits(
            sessions in 0u64..100_000, slow in 0u64..100_000, silent in 0u64..1000,
            claims in 0u64..1000, limit in 4096u64..1_000_000,
        ) {
            let wanted = LoadPlan { sessions, slow, silent, claims };

            let fits = wanted.within(limit);

            prop_assert!(fits.descriptors() <= limit);
            prop_assert!(fits.sessions <= sessions && fits.slow <= slow && fits.slow.is_multiple_of(2));
        }
    }
}
