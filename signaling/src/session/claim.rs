//! Which device has the session: claims, takeovers and returns.

use std::time::Duration;

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    signal::{ServerMessage, SignalErrorCode},
};
use tokio::time::Instant;

use super::{
    ClaimOutcome, ClaimRequest, Phase, RelayState, Session, TakeoverCommitment, TakeoverEffect,
    takeover::Takeover,
};
use crate::{
    outbox::{Closing, Outbox},
    relay::Side,
};

/// Notices of a second claim are at least this far apart, so that someone who has the link cannot
/// fill the queue of the one who won it.
const SECOND_CLAIM_NOTICE_INTERVAL: Duration = Duration::from_secs(1);

impl Session {
    /// Takes the session for `device`, whose signature the caller has checked. Exactly one device
    /// ever wins; a try by another changes nothing but is told to both sides.
    pub(crate) fn claim(
        &mut self,
        token: &SecretHash,
        device: DeviceKey,
        request: ClaimRequest,
        outbox: Outbox,
        now: Instant,
    ) -> Result<ClaimOutcome, SignalErrorCode> {
        if !self.claim_hash_matches(token) {
            return Err(SignalErrorCode::Unauthorized);
        }
        if let Phase::Claimed { takeover, .. } = &mut self.phase {
            takeover.expire(now);
        }
        match &mut self.phase {
            Phase::Ended { .. } => Err(SignalErrorCode::Ended),
            Phase::Claimed { device: winner, .. } if *winner == device => {
                self.attach(Side::Viewer, outbox)?;
                Ok(ClaimOutcome::AlreadyWon)
            }
            Phase::Claimed { takeover, .. } => match request {
                ClaimRequest::TakeOver(commitment)
                    if takeover.may_ask(&device, commitment, now) =>
                {
                    let asked = takeover.ask(device, commitment, outbox, now);
                    self.viewer.deliver(&asked);
                    Ok(ClaimOutcome::TakeoverRequested)
                }
                ClaimRequest::Claim | ClaimRequest::TakeOver(_) => {
                    self.second_claim(now);
                    Err(SignalErrorCode::AlreadyClaimed)
                }
            },
            Phase::Created => {
                let claimed = ServerMessage::Claimed {
                    device: Blob::from(device.as_bytes()),
                };
                self.phase = Phase::Claimed {
                    device,
                    relay: RelayState::Closed,
                    second_claim_notice: None,
                    takeover: Takeover::default(),
                };
                self.claimed_at = Some(now);
                self.host.deliver(&claimed);
                self.attach(Side::Viewer, outbox)?;
                Ok(ClaimOutcome::Won(self.age(now)))
            }
        }
    }

    /// Gives the session to `device`, as the host heard from the device that had it; `None` if that
    /// changes nothing.
    pub(crate) fn take_over(&mut self, device: DeviceKey) -> Option<TakeoverEffect> {
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
        let asking = takeover.grant(&device);
        *holder = device;
        let restarts = self.viewer.reassign(Closing::Error(
            SignalErrorCode::HandedOver,
            "the session goes on on another device",
        ));
        self.host.deliver(&ServerMessage::Peer { present: false });
        if let Some(outbox) = asking {
            // It cannot have ended: it is claimed.
            let _attached = self.attach(Side::Viewer, outbox);
        }
        Some(if restarts {
            TakeoverEffect::RestartLeg
        } else {
            TakeoverEffect::Nothing
        })
    }

    /// The device that has the session keeps it; whether one of this commitment had asked.
    pub(crate) fn refuse_takeover(&mut self, commitment: TakeoverCommitment, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Claimed { takeover, .. } => takeover.refuse(commitment, now),
            Phase::Created | Phase::Ended { .. } => false,
        }
    }

    /// The device that has the session answers one that asks for it.
    pub(crate) fn answer_takeover(&mut self, commitment: TakeoverCommitment, nonce: Blob) {
        if let Phase::Claimed { takeover, .. } = &mut self.phase {
            takeover.answer(commitment, nonce);
        }
    }

    /// The device that asks, at this socket, opens its commitment.
    pub(crate) fn open_takeover(&mut self, outbox_id: u64, opening: Blob) {
        if let Phase::Claimed { takeover, .. } = &mut self.phase
            && let Some(opened) = takeover.open(outbox_id, opening)
        {
            self.viewer.deliver(&opened);
        }
    }

    /// Tells both sides that another device tried, unless they were told a moment ago.
    pub(crate) fn second_claim(&mut self, now: Instant) {
        let Phase::Claimed {
            second_claim_notice,
            ..
        } = &mut self.phase
        else {
            return;
        };
        let due = second_claim_notice
            .is_none_or(|told| now.saturating_duration_since(told) >= SECOND_CLAIM_NOTICE_INTERVAL);
        if due {
            *second_claim_notice = Some(now);
            self.host.deliver(&ServerMessage::SecondClaim {});
            self.viewer.deliver(&ServerMessage::SecondClaim {});
        }
    }

    /// Attaches a viewer whose signature by the claimed device the caller has checked.
    pub(crate) fn resume(
        &mut self,
        device: &DeviceKey,
        outbox: Outbox,
    ) -> Result<(), SignalErrorCode> {
        match &self.phase {
            Phase::Ended { .. } => Err(SignalErrorCode::Ended),
            Phase::Claimed { device: winner, .. } if winner == device => {
                self.attach(Side::Viewer, outbox)
            }
            Phase::Claimed { .. } | Phase::Created => Err(SignalErrorCode::Unauthorized),
        }
    }
}
