//! Which of the user's devices has the session. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_protocol::{device::DeviceKey, id::Blob};

/// Who has the session; once it is claimed, a device always has it.
#[derive(Default)]
pub(super) enum ClaimState {
    /// Nobody has opened the link.
    #[default]
    Unclaimed,
    /// This device has it: the one that won the claim, or that took over since.
    Claimed { device: [u8; 65] },
}

/// What the server's word about a claim means.
pub(super) enum ClaimReport {
    /// The session has just been claimed.
    First,
    /// The device is the one that has the session.
    Same,
    /// The server names something else, and is not believed.
    Unexpected,
}

/// What became of a takeover.
pub(super) enum Takeover {
    /// The session has this device now.
    Moved(Blob),
    /// The device had the session already.
    Same,
    /// What was named is not a device.
    NotADevice,
}

impl ClaimState {
    /// The device that has the session, as it registers again at a server that has forgotten it.
    pub(super) fn device(&self) -> Option<&[u8; 65]> {
        match self {
            Self::Unclaimed => None,
            Self::Claimed { device } => Some(device),
        }
    }

    /// The device that has the session, as it travels.
    pub(super) fn device_blob(&self) -> Option<Blob> {
        self.device().map(Blob::from)
    }

    /// Takes the server's word. The first claim counts; a server that later names another device is
    /// not believed.
    pub(super) fn handle(&mut self, named: &Blob) -> ClaimReport {
        match (self.device(), parse(named)) {
            (None, Some(device)) => {
                *self = Self::Claimed { device };
                ClaimReport::First
            }
            (Some(ours), Some(other)) if *ours == other => ClaimReport::Same,
            _ => ClaimReport::Unexpected,
        }
    }

    /// The device that has the session gives it to another.
    pub(super) fn take_over(&mut self, named: &Blob) -> Takeover {
        let Some(device) = parse(named) else {
            return Takeover::NotADevice;
        };
        if self.device() == Some(&device) {
            return Takeover::Same;
        }
        *self = Self::Claimed { device };
        Takeover::Moved(Blob::from(device))
    }
}

fn parse(named: &Blob) -> Option<[u8; 65]> {
    DeviceKey::parse(&named.0).map(|key| *key.as_bytes())
}
