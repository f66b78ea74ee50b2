//! Passes what signaling reports on to all who count or record it.

use std::sync::Arc;

use authloop_signaling::{AuditEvent, Observer, SignalingEvent};

use crate::{
    audit::{AuditLog, ServerEvent},
    metrics::Metrics,
};

/// The metrics, and the audit log if there is one; clones share them.
#[derive(Clone)]
pub(crate) struct ObserverFanout {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<AuditLog>,
}

impl ObserverFanout {
    /// Records an event of the server's own.
    pub(crate) fn record(&self, event: ServerEvent) {
        if let Some(log) = &self.log {
            log.record_server(event);
        }
    }
}

impl Observer for ObserverFanout {
    fn observe(&self, event: SignalingEvent) {
        self.metrics.observe(event);
    }

    fn audit(&self, event: AuditEvent) {
        if let Some(log) = &self.log {
            log.record_signaling(event);
        }
    }
}
