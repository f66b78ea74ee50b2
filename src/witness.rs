//! Who signaling reports to.

use std::sync::Arc;

use authloop_signaling::{AuditEvent, Observer, SignalingEvent};

use crate::{
    audit::{AuditLog, ServerEvent},
    metrics::Metrics,
};

/// The counters, and the audit log if there is one; clones share them.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<AuditLog>,
}

impl Witness {
    pub(crate) fn server(&self, event: ServerEvent) {
        if let Some(log) = &self.log {
            log.server(event);
        }
    }
}

impl Observer for Witness {
    fn observe(&self, event: SignalingEvent) {
        self.metrics.observe(event);
    }

    fn audit(&self, event: AuditEvent) {
        if let Some(log) = &self.log {
            log.signaling(event);
        }
    }
}
