//! What travels between an agent and the agent API: requests and answers as JSON
//! (`docs/AGENT_API.md`). Here they are as the service has them; [`client`] has them as its clients do.

#![forbid(unsafe_code)]

pub mod client;
mod room;

use authloop_done_when::{DoneWhen, Evidence};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

pub use room::{Isolation, RoomKind, RoomStart, RoomView};

/// `POST /session`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// What the user is to sign in to; shown to them.
    #[schema(min_length = 1, max_length = 100, example = "Example Bank")]
    pub service: String,
    /// The browser: `http(s)://host:port` or `ws(s)://…/devtools/…`.
    #[schema(example = "http://127.0.0.1:9222")]
    pub cdp_url: String,
    /// How long the session lives, in seconds.
    #[schema(minimum = 10, maximum = 86400, default = 600)]
    pub ttl: Option<u64>,
    /// What the agent knows of the wall; returned as given.
    #[schema(value_type = Option<Context>)]
    pub context: Option<Value>,
    /// Who asks; shown to the user.
    #[schema(min_length = 1, max_length = 120, default = "An AI agent")]
    pub requester: Option<String>,
    /// Why; shown to the user. The context's hint if not given.
    #[schema(min_length = 1, max_length = 300)]
    pub reason: Option<String>,
    /// The origins where the user is expected to sign in; that of the context's `url` if not given.
    #[schema(max_items = 16)]
    pub expected_origins: Option<Vec<String>>,
    /// What the browser must show for the user to be signed in.
    pub done_when: Option<DoneWhen>,
    /// Whether the session ends as soon as `done_when` holds.
    #[serde(default)]
    pub auto_finish: bool,
    /// Asks for the signed-in state, sealed.
    pub storage_state: Option<StorageRequest>,
    /// Who is told of the session's course.
    pub webhook: Option<WebhookRequest>,
    /// What the browser's gate does to tools while the user is there.
    pub gate: Option<GateMode>,
    /// In which browser the user signs in: `private`, but `in_place` for the wall types `captcha` and
    /// `document_upload`.
    pub room: Option<RoomKind>,
    /// With what a private room begins: `fresh`, but `as_is` for the wall types `otp`, `totp`, `push` and `consent`.
    pub start: Option<RoomStart>,
    /// The sites of which the agent gets cookies and storage from a private room; those of `expected_origins` if not
    /// given. A site is a host's registrable domain, an IP address or `localhost`.
    #[schema(min_items = 1, max_items = 8, example = json!(["bank.example"]))]
    pub grants: Option<Vec<String>>,
}

/// What the browser's gate does to tools while the user is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// Their answers wait.
    #[default]
    Hold,
    /// They get a clear error.
    Reject,
}

/// What the agent knows of the wall. Other members are kept.
#[derive(Debug, ToSchema)]
pub struct Context {
    /// Where the wall is.
    pub url: Option<String>,
    /// What kind it is, for example `password` or `sms_otp`.
    pub wall_type: Option<String>,
    /// The same, under its other name.
    pub blocker_type: Option<String>,
    /// What the user should know.
    pub hint: Option<String>,
}

/// Asks for the signed-in state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageRequest {
    /// The agent's HPKE public key: P-256, uncompressed SEC1, 65 bytes in base64url.
    #[schema(min_length = 87, max_length = 88)]
    pub recipient: String,
    /// Of which origins; those where the user is expected, or else those the browser shows.
    #[schema(min_items = 1, max_items = 16)]
    pub origins: Option<Vec<String>>,
}

/// Who is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// An `https://` address.
    #[schema(max_length = 2048, example = "https://agent.example/hook")]
    pub url: String,
    /// A Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.
    #[schema(value_type = String, write_only, pattern = "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$")]
    pub secret: secrecy::SecretString,
}

/// The answer to `POST /session`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionCreated {
    /// The session's name in this API.
    pub session_id: String,
    /// The link for the user. Whoever opens it first may sign in.
    pub session_url: String,
    /// Opens `stream_url` and nothing else.
    pub stream_token: String,
    /// The session's server-sent events.
    pub stream_url: String,
    /// When the session ends by itself.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
    /// Where the agent goes on with the browser.
    pub cdp_url: String,
    /// The session's room.
    #[serde(flatten)]
    pub room: RoomView,
}

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Nobody has opened the link.
    Pending,
    /// The user's device has it.
    Active,
    /// The user or the agent ended it as done.
    Resolved,
    /// The user refused, or the agent withdrew it.
    Cancelled,
    /// The time ran out.
    Timeout,
    /// It broke.
    Error,
}

impl Status {
    /// Whether it is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Active)
    }
}

/// What is happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For someone to open the link.
    Waiting,
    /// Someone has.
    Claimed,
    /// Their device is negotiating.
    Connecting,
    /// They see the browser and may type.
    Live,
    /// Their device lost the way and is mending it.
    Reconnecting,
    /// They are done, and `done_when` is being checked.
    Checking,
    /// Nothing more.
    Ended,
}

/// What the browser showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The user is signed in.
    SignedIn,
    /// The user is not.
    NotSignedIn,
    /// Nothing can be said.
    Inconclusive,
}

/// Why it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `done_when` holds.
    ConditionMet,
    /// It does not, and the user finished anyway.
    FinishedAnyway,
    /// The browser did not answer the check.
    NotCheckable,
    /// The user is done, and there was nothing to check.
    NoCondition,
    /// The user is done in a private room, and the agent's browser does not show the sign-in.
    SessionDidNotMove,
    /// The agent said so.
    AgentResolved,
    /// The user does not want to.
    Declined,
    /// The user did not ask for this: perhaps an attack.
    NotRequested,
    /// It needs something that cannot cross.
    CannotComplete,
    /// It needs a passkey, which cannot cross: the page asked for one.
    PasskeyRequired,
    /// The agent withdrew it, or the host was stopped.
    Cancelled,
    /// The time ran out.
    Expired,
    /// The browser is gone.
    BrowserLost,
    /// The authloop server is gone, or ended it.
    SignalingLost,
    /// There is no private room: no browser for one, or all are taken.
    RoomUnavailable,
    /// The host failed.
    Internal,
}

/// What the agent may want to know meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The page asked for a passkey; the user was shown to another way.
    PasskeyRequired,
}

/// How it ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcome {
    /// What the browser showed.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// One sentence, in English.
    pub message: String,
    /// Condition by condition, if there were any to check.
    pub evidence: Vec<Evidence>,
}

/// `GET /session/{id}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its name.
    pub session_id: String,
    /// Where it stands.
    pub status: Status,
    /// What is happening.
    pub phase: Phase,
    /// As given.
    pub service: String,
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
    /// As given.
    #[schema(value_type = Option<Context>)]
    pub context: Option<Value>,
    /// Rises with every change.
    pub version: u64,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// How many cookies the browser holds, once resolved.
    pub cookies: Option<usize>,
    /// What happened on the way, each once.
    pub notices: Vec<Notice>,
    /// The session's room.
    #[serde(flatten)]
    pub room: RoomView,
}

/// `GET /sessions`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// Newest first.
    pub sessions: Vec<SessionView>,
}

/// One event of `GET /session/{id}/events`.
#[derive(Debug, ToSchema)]
pub struct StreamedEvent {
    /// The session's version, for `Last-Event-ID`.
    pub id: String,
    /// What happened.
    #[schema(example = "session.resolved")]
    pub event: String,
    /// A `SessionView`, as JSON.
    pub data: String,
}

/// `GET /session/{id}/storage-state`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SealedState {
    /// The encapsulated key (RFC 9180), base64url.
    pub enc: String,
    /// The sealed JSON, base64url.
    pub ciphertext: String,
    /// What the seal is bound to; ASCII.
    pub info: String,
}

/// `GET /healthz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339<S: serde::Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&stamp(*time))
}

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn stamp(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}
