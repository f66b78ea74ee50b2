//! Which legs the session has at the relay, and when they are opened and restarted.

use authloop_protocol::signal::SignalErrorCode;

use super::{Phase, RelayState, Session};
use crate::{
    outbox::Closing,
    relay::{LegEvent, LegParameters, SessionLegs, Side},
};

impl Session {
    /// Whether the caller must now ask the relay for legs; it must then call
    /// [`Self::legs_opened`] or [`Self::legs_failed`].
    pub(crate) fn begin_opening(&mut self) -> bool {
        match &mut self.phase {
            Phase::Claimed { relay, .. } if *relay == RelayState::Closed => {
                *relay = RelayState::Opening;
                true
            }
            Phase::Claimed { .. } | Phase::Created | Phase::Ended { .. } => false,
        }
    }

    /// Takes the relay's legs; `false` when the session ended meanwhile and they must be closed.
    pub(crate) fn legs_opened(&mut self, legs: SessionLegs) -> bool {
        match &mut self.phase {
            Phase::Claimed { relay, .. } => {
                *relay = RelayState::Open;
                self.host.set_ice(legs.host);
                self.viewer.set_ice(legs.viewer);
                true
            }
            Phase::Created | Phase::Ended { .. } => false,
        }
    }

    /// The relay forgot the legs; [`Self::begin_opening`] may follow.
    pub(crate) fn legs_forgotten(&mut self) {
        if let Phase::Claimed { relay, .. } = &mut self.phase
            && *relay == RelayState::Open
        {
            *relay = RelayState::Closed;
            self.host.forget_ice();
            self.viewer.forget_ice();
        }
    }

    /// The relay has no room for this session: both sides are cut, and come back for new ones.
    pub(crate) fn legs_failed(&mut self) {
        if let Phase::Claimed { relay, .. } = &mut self.phase {
            *relay = RelayState::Closed;
            let closing = Closing::Error(SignalErrorCode::Internal, "the relay is not available");
            for side in [Side::Host, Side::Viewer] {
                self.mailbox(side).forget_ice();
                self.mailbox(side).disconnect(closing);
            }
        }
    }

    /// Whether the caller must now ask the relay to restart this leg.
    pub(crate) fn begin_restart(&mut self, side: Side) -> bool {
        self.mailbox(side).begin_restart()
    }

    pub(crate) fn restarted(&mut self, side: Side, leg: Option<LegParameters>) {
        match (leg, &self.phase) {
            (Some(leg), Phase::Claimed { .. }) => self.mailbox(side).set_ice(leg),
            _ => self.mailbox(side).restart_failed(),
        }
    }

    /// Whether the relay's word of a leg calls for new credentials at once: the side is there to
    /// take them, so it need not notice by itself, which takes a browser 6 to 18 seconds.
    pub(crate) fn leg_event(&mut self, side: Side, event: LegEvent) -> bool {
        match event {
            LegEvent::Connected => false,
            LegEvent::Lost => self.mailbox(side).is_attached() && self.begin_restart(side),
        }
    }
}
