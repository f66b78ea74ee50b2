//! Which device has the session: claims, takeovers and returns.

use std::time::Duration;

use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    signal::{ServerMessage, SignalErrorCode},
};
use tokio::time::Instant;

use super::{Claim, HandOver, Phase, RelayState, Session, Wish, takeover::Takeover};
use crate::{
    outbox::{Closing, Outbox},
    relay::Side,
    secret::SecretHash,
};

/// Notices of a second claim are at least this far apart, so that someone who has the link cannot
/// fill the queue of the one who won it.
const SECOND_CLAIM_NOTICE: Duration = Duration::from_secs(1);

impl Session {
    /// Takes the session for `device`, whose signature the caller has checked. Exactly one device
    /// ever wins; a try by another changes nothing but is told to both sides.
    pub(crate) fn claim(
        &mut self,
        token: &SecretHash,
        device: DeviceKey,
        wish: Wish,
        outbox: Outbox,
        now: Instant,
    ) -> Result<Claim, SignalErrorCode> {
        if !self.claim_hash_matches(token) {
            return Err(SignalErrorCode::Unauthorized);
        }
        match &mut self.phase {
            Phase::Ended { .. } => Err(SignalErrorCode::Ended),
            Phase::Claimed { device: winner, .. } if *winner == device => {
                self.seat_down(Side::Viewer, outbox)?;
                Ok(Claim::Again)
            }
            Phase::Claimed { takeover, .. }
                if wish == Wish::TakeOver && takeover.may_ask(&device, now) =>
            {
                let asked = takeover.ask(device, outbox, now);
                self.viewer.tell(&asked);
                Ok(Claim::Asks)
            }
            Phase::Claimed { .. } => {
                self.second_claim(now);
                Err(SignalErrorCode::AlreadyClaimed)
            }
            Phase::Created => {
                let claimed = ServerMessage::Claimed {
                    device: Blob::from(device.as_bytes()),
                };
                self.phase = Phase::Claimed {
                    device,
                    relay: RelayState::Closed,
                    second_claim_told: None,
                    takeover: Takeover::default(),
                };
                self.claimed = Some(now);
                self.host.tell(&claimed);
                self.seat_down(Side::Viewer, outbox)?;
                Ok(Claim::Won(self.age(now)))
            }
        }
    }

    /// Gives the session to `device`, as the host heard from the device that had it; `None` if that
    /// changes nothing.
    pub(crate) fn hand_over(&mut self, device: DeviceKey) -> Option<HandOver> {
        let Phase::Claimed {
            device: holder,
            takeover,
            ..
        } = &mut self.phase
        else {
            return None;
        };
        if *holder == device {
            return None;
        }
        let asking = takeover.granted(&device);
        *holder = device;
        let restarts = self.viewer.vacate(Closing::Error(
            SignalErrorCode::HandedOver,
            "the session goes on on another device",
        ));
        self.host.tell(&ServerMessage::Peer { present: false });
        if let Some(outbox) = asking {
            // It cannot have ended: it is claimed.
            let _seated = self.seat_down(Side::Viewer, outbox);
        }
        Some(if restarts {
            HandOver::Restarts
        } else {
            HandOver::Done
        })
    }

    /// The device that has the session keeps it; whether this one had asked.
    pub(crate) fn refuse_takeover(&mut self, device: &[u8], now: Instant) -> bool {
        match &mut self.phase {
            Phase::Claimed { takeover, .. } => takeover.refuse(device, now),
            Phase::Created | Phase::Ended { .. } => false,
        }
    }

    /// Tells both sides that another device tried, unless they were told a moment ago.
    pub(crate) fn second_claim(&mut self, now: Instant) {
        let Phase::Claimed {
            second_claim_told, ..
        } = &mut self.phase
        else {
            return;
        };
        let due = second_claim_told
            .is_none_or(|told| now.saturating_duration_since(told) >= SECOND_CLAIM_NOTICE);
        if due {
            *second_claim_told = Some(now);
            self.host.tell(&ServerMessage::SecondClaim {});
            self.viewer.tell(&ServerMessage::SecondClaim {});
        }
    }

    /// Seats a viewer whose signature by the claimed device the caller has checked.
    pub(crate) fn resume(
        &mut self,
        device: &DeviceKey,
        outbox: Outbox,
    ) -> Result<(), SignalErrorCode> {
        match &self.phase {
            Phase::Ended { .. } => Err(SignalErrorCode::Ended),
            Phase::Claimed { device: winner, .. } if winner == device => {
                self.seat_down(Side::Viewer, outbox)
            }
            Phase::Claimed { .. } | Phase::Created => Err(SignalErrorCode::Unauthorized),
        }
    }
}
