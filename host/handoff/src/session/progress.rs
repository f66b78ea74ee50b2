//! Where the handoff stands, as its caller has been told.

use crate::{HandoffEvent, HandoffState};

/// Tells the caller each new state, once.
pub(super) struct Progress<R> {
    report: R,
    state: HandoffState,
}

impl<R: FnMut(HandoffEvent)> Progress<R> {
    /// Tells the link, which nobody has opened yet.
    pub(super) fn start(mut report: R, link: String) -> Self {
        let state = HandoffState::Waiting;
        report(HandoffEvent::Link(link));
        report(HandoffEvent::State(state));
        Self { report, state }
    }

    pub(super) fn state(&self) -> HandoffState {
        self.state
    }

    pub(super) fn enter(&mut self, state: HandoffState) {
        self.state = state;
        (self.report)(HandoffEvent::State(state));
    }

    /// Tells what is not a state.
    pub(super) fn tell(&mut self, event: HandoffEvent) {
        (self.report)(event);
    }
}
