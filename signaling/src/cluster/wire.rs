//! What nodes say to each other over Redis: JSON, one [`NodeMessage`] a publication.
//!
//! A socket that landed on another node than its session's owner is bridged: the *edge* has the
//! WebSocket and has checked who it is, the *owner* has the session. Redis may lose publications, so
//! texts are numbered, and a gap ends the bridge: the client connects again.

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    signal::{Outcome, SignalErrorCode},
};
use serde::{Deserialize, Serialize};

use super::nodes::NodeId;
use crate::{
    outbox::Closing,
    registry::Identity,
    relay::Side,
    session::{ClaimRequest, TakeoverCommitment},
};

/// Names one bridge: the edge's node and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct BridgeId {
    pub(super) edge: NodeId,
    pub(super) number: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum NodeMessage {
    /// Edge to owner: a client is here for a session of yours.
    Open {
        bridge: BridgeId,
        session: SessionId,
        /// What the edge read; an owner of another epoch refuses.
        epoch: u64,
        identity: WireIdentity,
    },
    /// Owner to edge: the client is attached.
    Opened { bridge: BridgeId },
    /// Owner to edge: it is not, and why.
    Refused {
        bridge: BridgeId,
        code: SignalErrorCode,
    },
    /// Edge to owner: what the client sent.
    #[serde(rename = "said")]
    ClientText {
        bridge: BridgeId,
        n: u64,
        text: String,
    },
    /// Owner to edge: what the client is to be sent.
    #[serde(rename = "tell")]
    ServerText {
        bridge: BridgeId,
        n: u64,
        text: String,
    },
    /// Owner to edge: end the socket so.
    Close {
        bridge: BridgeId,
        closing: WireClosing,
    },
    /// Edge to owner: the client has gone.
    Gone { bridge: BridgeId },
    /// To a new owner: take this session.
    Adopt { session: SessionId },
    /// To the owner: the session was ended through another node.
    Ended {
        session: SessionId,
        outcome: Outcome,
    },
    /// To all: this session has a new owner.
    Moved { session: SessionId, epoch: u64 },
}

/// Who a client proved to be.
#[derive(Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub(super) enum WireIdentity {
    Host {
        token: Blob,
    },
    Claim {
        token: Blob,
        device: Blob,
        /// Of one that asks for a session which another device has.
        commitment: Option<Blob>,
    },
    Resume {
        device: Blob,
    },
}

/// How a socket ends.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireClosing {
    Normal,
    Restart,
    Error(SignalErrorCode),
}

impl WireIdentity {
    pub(super) fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Host { token } => Self::Host {
                token: token.as_bytes().into(),
            },
            Identity::Claim {
                token,
                device,
                request,
            } => Self::Claim {
                token: token.as_bytes().into(),
                device: device.as_bytes().into(),
                commitment: match request {
                    ClaimRequest::Claim => None,
                    ClaimRequest::TakeOver(TakeoverCommitment(bytes)) => Some(bytes.into()),
                },
            },
            Identity::Resume { device } => Self::Resume {
                device: device.as_bytes().into(),
            },
        }
    }

    /// `None` if it is not one that [`Self::of`] wrote.
    pub(super) fn read(&self) -> Option<Identity> {
        Some(match self {
            Self::Host { token } => Identity::Host {
                token: SecretHash::from_bytes(token.array()?),
            },
            Self::Claim {
                token,
                device,
                commitment,
            } => Identity::Claim {
                token: SecretHash::from_bytes(token.array()?),
                device: DeviceKey::parse(&device.0)?,
                request: match commitment {
                    None => ClaimRequest::Claim,
                    Some(bytes) => ClaimRequest::TakeOver(TakeoverCommitment(bytes.array()?)),
                },
            },
            Self::Resume { device } => Identity::Resume {
                device: DeviceKey::parse(&device.0)?,
            },
        })
    }

    pub(super) fn side(&self) -> Side {
        match self {
            Self::Host { .. } => Side::Host,
            Self::Claim { .. } | Self::Resume { .. } => Side::Viewer,
        }
    }
}

impl From<Closing> for WireClosing {
    fn from(closing: Closing) -> Self {
        match closing {
            Closing::Normal => Self::Normal,
            Closing::Restart => Self::Restart,
            Closing::Error(code, _) => Self::Error(code),
        }
    }
}

/// Counts texts one way and notices when one is missing.
#[derive(Default)]
pub(super) struct SequenceCounter(u64);

impl SequenceCounter {
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// Whether `n` is the very next.
    pub(super) fn accept(&mut self, n: u64) -> bool {
        let next = n == self.0 + 1;
        if next {
            self.0 = n;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;

    use super::*;

    #[test]
    fn a_gap_or_an_echo_is_noticed() {
        let (mut writer, mut reader) = (SequenceCounter::default(), SequenceCounter::default());
        assert!(reader.accept(writer.next()));
        let lost = writer.next();
        assert!(!reader.accept(writer.next()));
        assert!(reader.accept(lost));
        assert!(!reader.accept(lost));
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let token = SecretHash::of(b"token");
        let wire = WireIdentity::of(&Identity::Host { token });
        let text = serde_json::to_string(&wire).unwrap();
        let read: WireIdentity = serde_json::from_str(&text).unwrap();
        assert_eq!(read.side(), Side::Host);
        let Some(Identity::Host { token: read }) = read.read() else {
            panic!("another identity");
        };
        assert!(read.matches(&token));
        let device = SigningKey::from_slice(&[1; 32]).unwrap();
        let device = device.verifying_key().to_sec1_point(false);
        for request in [
            ClaimRequest::Claim,
            ClaimRequest::TakeOver(TakeoverCommitment([7; 32])),
        ] {
            let wire = WireIdentity::of(&Identity::Claim {
                token,
                device: DeviceKey::parse(device.as_bytes()).unwrap(),
                request,
            });
            let Some(Identity::Claim { request: read, .. }) = wire.read() else {
                panic!("another identity");
            };
            assert_eq!(read, request);
        }
        let broken = WireIdentity::Claim {
            token: Blob::from([1]),
            device: Blob::from([2]),
            commitment: None,
        };
        assert!(broken.read().is_none());
    }
}
