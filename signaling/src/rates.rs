//! How often one client address may do what costs the server something.

use std::num::NonZeroU32;

/// Rates per client address (an IPv6 client is its /64).
#[derive(Clone, Debug)]
pub struct Rates {
    /// Registrations a second, in the long run.
    pub create_per_second: NonZeroU32,
    /// Registrations at once.
    pub create_burst: NonZeroU32,
    /// Claim and resume attempts a second, in the long run.
    pub claim_per_second: NonZeroU32,
    /// Claim and resume attempts at once.
    pub claim_burst: NonZeroU32,
    /// Sessions looked up a second, to see one or to open a WebSocket, in the long run.
    pub lookup_per_second: NonZeroU32,
    /// Sessions looked up at once.
    pub lookup_burst: NonZeroU32,
    /// Other requests with a host token or an API key a second, in the long run.
    pub manage_per_second: NonZeroU32,
    /// Such requests at once.
    pub manage_burst: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            create_per_second: per(20),
            create_burst: per(500),
            claim_per_second: per(5),
            claim_burst: per(100),
            lookup_per_second: per(50),
            lookup_burst: per(1000),
            manage_per_second: per(20),
            manage_burst: per(500),
        }
    }
}

pub(crate) const fn per(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}
