//! Signaling: the REST bodies and the WebSocket messages of `docs/PROTOCOL.md` sections 4 and 5.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

mod ice;
mod wall;

use crate::id::{Blob, SessionId};

pub use ice::{LegIce, MAX_CANDIDATES, MAX_TURN_URLS, TurnService, is_ice_string, is_turn_url};
pub use wall::WallType;

/// The largest WebSocket message either way, in bytes of JSON.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// The largest sealed blob, in bytes before base64url.
pub const MAX_SEALED_BYTES: usize = 11 * 1024;
/// Blobs that wait for an absent side, in each direction.
pub const MAX_MAILBOX_BLOBS: usize = 16;
/// The shortest and the longest life of a session that a host asks for.
pub const SESSION_TTL: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);

/// `POST /v1/sessions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The session's id, chosen by the host.
    pub id: SessionId,
    /// The invitation's exact bytes.
    pub invitation: Blob,
    /// SHA-256 of the claim token, 32 bytes.
    pub claim_hash: Blob,
    /// The device that had claimed the session before the server forgot it, 65 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Blob>,
    /// What kind of wall it is about, for statistics. Servers before it was introduced refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_type: Option<WallType>,
}

/// The answer to [`CreateSession`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionCreated {
    /// What the host shows to attach and to end the session, 32 bytes.
    pub host_token: Blob,
    /// When the session ends by itself, Unix seconds.
    pub expires_at: u64,
}

/// `GET /v1/sessions/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Where the session stands.
    pub state: SessionState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The invitation's exact bytes.
    pub invitation: Blob,
    /// When the session ends by itself, Unix seconds.
    pub expires_at: u64,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Registered; nobody has claimed it.
    Created,
    /// A device has claimed it.
    Claimed,
    /// Over.
    Ended,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The user said Done and the host agreed.
    Resolved,
    /// The user refused.
    Declined,
    /// The agent withdrew it.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// The browser or the host broke.
    Failed,
}

impl Outcome {
    /// The outcome's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

/// The body of every HTTP error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable name, for programs.
    pub code: String,
    /// One sentence, for people.
    pub message: String,
    /// More, for programs.
    #[serde(default)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// What the server says on either WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerMessage {
    /// First of all: what the client's signature must cover.
    Challenge {
        /// 32 random bytes.
        nonce: Blob,
    },
    /// The client is accepted.
    Welcome {
        /// Where the session stands.
        state: SessionState,
        /// Whether the other side is attached.
        peer: bool,
        /// The device that claimed it, 65 bytes.
        device: Option<Blob>,
        /// When the session ends by itself, Unix seconds.
        expires_at: u64,
        /// To a viewer: the server takes [`ViewerMessage::FirstFrame`], and has not had it yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        first_frame: bool,
    },
    /// The relay's leg for this side.
    Ice(LegIce),
    /// The other side attached or left.
    Peer {
        /// Whether it is attached.
        present: bool,
    },
    /// To the host: someone won the claim.
    Claimed {
        /// The device, 65 bytes.
        device: Blob,
    },
    /// Another device tried the link; nothing changed.
    SecondClaim {},
    /// To the viewer: another device asks to go on in its place; only its consent moves the session.
    Takeover {
        /// The asking device's commitment, 32 bytes; `None` when nobody asks any more.
        commitment: Option<Blob>,
    },
    /// To the viewer: the device that asks says who it is.
    TakeoverOpened {
        /// The asking device, 65 bytes.
        device: Blob,
        /// What opens its commitment, 32 bytes.
        opening: Blob,
    },
    /// To a device that asked: the one that has the session is being asked.
    Waiting {},
    /// To a device that asked: the nonce of the one that has the session.
    TakeoverNonce {
        /// 32 bytes.
        nonce: Blob,
    },
    /// A blob of the other side's.
    Sealed {
        /// Opaque to the server.
        data: Blob,
    },
    /// The session is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// The client did something wrong; the socket closes.
    Error {
        /// A stable name, for programs.
        code: SignalErrorCode,
        /// One sentence, for people.
        message: String,
    },
}

/// Why the server refuses a WebSocket client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalErrorCode {
    /// The message is not one the server knows, or not now.
    Malformed,
    /// The token or the signature is wrong.
    Unauthorized,
    /// There is no such session.
    NotFound,
    /// Another device has claimed the session.
    AlreadyClaimed,
    /// The session is over.
    Ended,
    /// The message is too large.
    TooLarge,
    /// The first frame did not come in time, or the client reads too slowly.
    Timeout,
    /// Too many tries.
    RateLimited,
    /// The session was handed over to another device.
    HandedOver,
    /// A newer socket of the same side took over.
    Replaced,
    /// The server failed.
    Internal,
}

impl SignalErrorCode {
    /// The WebSocket close code that follows the error (RFC 6455 section 7.4.2, private use).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::Malformed => 4400,
            Self::Unauthorized => 4401,
            Self::NotFound => 4404,
            Self::Timeout => 4408,
            Self::AlreadyClaimed => 4409,
            Self::Ended => 4410,
            Self::TooLarge => 4413,
            Self::RateLimited => 4429,
            Self::HandedOver => 4498,
            Self::Replaced => 4499,
            Self::Internal => 4500,
        }
    }
}

/// What the host says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum HostMessage {
    /// First: who it is.
    Attach {
        /// From [`SessionCreated`].
        host_token: Blob,
    },
    /// A blob for the viewer.
    Sealed {
        /// Opaque to the server.
        data: Blob,
    },
    /// The host's own ICE credentials.
    IceLocal {
        /// Its username fragment.
        ufrag: String,
        /// Its password.
        pwd: String,
    },
    /// New credentials for the host's leg, please.
    Restart {},
    /// The device that has the session gave it, over the sealed channel, to another one.
    HandOver {
        /// That other device, 65 bytes.
        device: Blob,
    },
    /// The session is over.
    End {
        /// How.
        outcome: Outcome,
    },
}

/// What the viewer says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ViewerMessage {
    /// First: this device takes the session.
    Claim {
        /// The claim token T, 32 bytes.
        token: Blob,
        /// The device's public key D, 65 bytes.
        device: Blob,
        /// D's signature over the challenge, 64 bytes.
        signature: Blob,
    },
    /// First: this device asks the one that has the session for it.
    Takeover {
        /// The claim token T, 32 bytes.
        token: Blob,
        /// The asking device's public key, 65 bytes.
        device: Blob,
        /// Its signature over the challenge, the same as a claim's, 64 bytes.
        signature: Blob,
        /// To its key and to what it will open, 32 bytes.
        commitment: Blob,
    },
    /// The device that has the session answers a commitment.
    TakeoverNonce {
        /// That commitment, 32 bytes.
        commitment: Blob,
        /// 32 bytes.
        nonce: Blob,
    },
    /// The asking device, which has had the nonce, opens its commitment.
    TakeoverOpen {
        /// 32 bytes.
        opening: Blob,
    },
    /// The device that has the session keeps it.
    TakeoverRefuse {
        /// The commitment of the device that asked, 32 bytes.
        commitment: Blob,
    },
    /// First: this device comes back.
    Resume {
        /// D's signature over the challenge, 64 bytes.
        signature: Blob,
    },
    /// A blob for the host.
    Sealed {
        /// Opaque to the server.
        data: Blob,
    },
    /// The viewer's own ICE credentials.
    IceLocal {
        /// Its username fragment.
        ufrag: String,
        /// Its password.
        pwd: String,
    },
    /// New credentials for the viewer's leg, please.
    Restart {},
    /// The first picture is on the screen; only to servers whose welcome asks for it.
    FirstFrame {},
}
