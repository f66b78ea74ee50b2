//! A connection's permit to be open, as the HTTP port counts it.

use super::guarded_stream::WriteStallObserver;
use crate::{connection_limiter::Permit, metrics::ConnectionMetrics};

/// Counts one connection as open, for the limits and for metrics, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _permit: Permit,
    metrics: ConnectionMetrics,
}

impl ConnectionPermit {
    pub(super) fn new(permit: Permit, metrics: &ConnectionMetrics) -> Self {
        metrics.open.inc();
        Self {
            _permit: permit,
            metrics: metrics.clone(),
        }
    }
}

impl WriteStallObserver for ConnectionPermit {
    fn write_stalled(&self) {
        self.metrics.refuse("unread");
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}
