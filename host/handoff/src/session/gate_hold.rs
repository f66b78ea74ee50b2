//! The gate before the browser: closed to agents from the claim to the end.

use authloop_gate::{Ending, GateError, HandoffGate, Lease};
use authloop_protocol::id::SessionId;

pub(super) struct GateHold {
    gate: Option<HandoffGate>,
    /// Agents are shut out for as long as this is held.
    lease: Option<Lease>,
}

impl GateHold {
    /// An open gate, if there is one.
    pub(super) fn new(gate: Option<HandoffGate>) -> Self {
        Self { gate, lease: None }
    }

    pub(super) async fn close(&mut self, session: SessionId) -> Result<(), GateError> {
        if let Some(gate) = &self.gate {
            self.lease = Some(gate.close(&session.to_string()).await?);
        }
        Ok(())
    }

    pub(super) async fn open(&mut self, ending: Ending) -> Result<(), GateError> {
        match self.lease.take() {
            Some(lease) => lease.open(ending).await,
            None => Ok(()),
        }
    }
}
