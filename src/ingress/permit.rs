//! A connection's permit to be open, as the HTTP port counts it.

use authloop_net::{ConnectionPermit, WriteStallObserver};

use crate::metrics::ConnectionMetrics;

/// Counts one connection as open, for the limits and for metrics, until it is dropped.
#[derive(Debug)]
pub(super) struct MeteredPermit {
    _permit: ConnectionPermit,
    metrics: ConnectionMetrics,
}

impl MeteredPermit {
    pub(super) fn new(permit: ConnectionPermit, metrics: &ConnectionMetrics) -> Self {
        metrics.open.inc();
        Self {
            _permit: permit,
            metrics: metrics.clone(),
        }
    }
}

impl WriteStallObserver for MeteredPermit {
    fn write_stalled(&self) {
        self.metrics.refuse("unread");
    }
}

impl Drop for MeteredPermit {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}
