//! The same JSON as clients write and read it: they name what they need, and pass over what a newer
//! service adds.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RoomKind, RoomStart, Status};

/// A handoff to ask for.
#[derive(Debug, Serialize)]
pub struct NewSession<'a> {
    /// What the user signs in to.
    pub service: &'a str,
    /// The browser.
    pub cdp_url: &'a str,
    /// How long the link lives, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Where the wall is.
    #[serde(skip_serializing_if = "Context::is_empty")]
    pub context: Context<'a>,
    /// Who asks.
    pub requester: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Where the user is expected to sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_origins: Option<&'a [String]>,
    /// How the host tells that the user is signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_when: Option<&'a Value>,
    /// In which browser the user signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomKind>,
    /// With what a private room begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<RoomStart>,
    /// The sites of which the agent gets cookies and storage from a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<&'a [String]>,
}

/// Where the wall is.
#[derive(Debug, Default, Serialize)]
pub struct Context<'a> {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_type: Option<&'a str>,
}

impl Context<'_> {
    fn is_empty(&self) -> bool {
        self.url.is_none() && self.wall_type.is_none()
    }
}

/// A new session. Of its secrets, only the link is kept.
#[derive(Deserialize)]
pub struct CreatedSession {
    /// Its id.
    pub session_id: String,
    /// The link, for the user only.
    pub session_url: SecretString,
    /// When the link ends.
    pub expires_at: String,
    /// Where the agent goes on.
    pub cdp_url: String,
}

impl std::fmt::Debug for CreatedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedSession").finish_non_exhaustive()
    }
}

/// A session as it is now.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// Its id.
    pub session_id: String,
    /// Where it stands.
    pub status: Status,
    /// A finer state.
    #[serde(default)]
    pub phase: String,
    /// When it ends at the latest.
    pub expires_at: String,
    /// Rises with every change.
    #[serde(default)]
    pub version: u64,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// In which browser the user signs in: `private` or `in_place`; empty from a service that has no rooms.
    #[serde(default)]
    pub room: String,
    /// The sites of which the agent gets cookies and storage from a private room.
    #[serde(default)]
    pub grants: Option<Vec<String>>,
}

/// How a session ended, and what the browser showed then.
#[derive(Clone, Debug, Deserialize)]
pub struct Outcome {
    /// `signed_in`, `not_signed_in` or `inconclusive`.
    pub verdict: String,
    /// The stable reason.
    pub reason: String,
    /// One sentence.
    #[serde(default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        CreateSession, Isolation, Phase, Reason, RoomView, SessionCreated, SessionView, Verdict,
    };

    #[test]
    fn reads_a_session_with_more_than_it_knows() {
        let session: Session = serde_json::from_str(
            r#"{"session_id":"hs_1","status":"RESOLVED","phase":"ended","version":7,"expires_at":"t",
                "outcome":{"verdict":"signed_in","reason":"condition_met","message":"m","evidence":[]},"new":1}"#,
        )
        .unwrap();

        assert!(session.status.is_terminal());
        assert_eq!((session.room.as_str(), session.grants), ("", None));
        assert_eq!(session.outcome.unwrap().verdict, "signed_in");
    }

    #[test]
    fn the_service_reads_what_a_client_writes() {
        let condition = json!({ "any": [{ "url": "https://bank.example/**" }] });
        let origins = ["https://bank.example".to_owned()];
        let grants = ["bank.example".to_owned()];
        let request = NewSession {
            service: "Bank",
            cdp_url: "http://127.0.0.1:9222",
            ttl: Some(60),
            context: Context {
                url: Some("https://bank.example/login"),
                wall_type: Some("password"),
            },
            requester: "An agent",
            reason: "To read invoices",
            expected_origins: Some(&origins),
            done_when: Some(&condition),
            room: Some(RoomKind::Private),
            start: Some(RoomStart::AsIs),
            grants: Some(&grants),
        };

        let read: CreateSession =
            serde_json::from_value(serde_json::to_value(&request).unwrap()).unwrap();

        assert_eq!((read.service.as_str(), read.ttl), ("Bank", Some(60)));
        assert_eq!(read.context.unwrap()["wall_type"], "password");
        assert_eq!(read.expected_origins.unwrap(), origins);
        assert_eq!(read.done_when.unwrap().conditions().len(), 1);
        assert_eq!(read.room, Some(RoomKind::Private));
        assert_eq!(read.start, Some(RoomStart::AsIs));
        assert_eq!(read.grants.unwrap(), grants);
    }

    #[test]
    fn a_client_reads_what_the_service_writes() {
        let created = SessionCreated {
            session_id: "hs_1".to_owned(),
            session_url: "https://a.example/#x".to_owned(),
            stream_token: "st_1".to_owned(),
            stream_url: "http://127.0.0.1:7300/session/hs_1/events".to_owned(),
            expires_at: OffsetDateTime::UNIX_EPOCH,
            cdp_url: "http://127.0.0.1:9222".to_owned(),
            room: RoomView::IN_PLACE,
        };
        let view = SessionView {
            session_id: "hs_1".to_owned(),
            status: Status::Resolved,
            phase: Phase::Ended,
            service: "Bank".to_owned(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            context: None,
            version: 7,
            outcome: Some(crate::Outcome {
                verdict: Verdict::SignedIn,
                reason: Reason::ConditionMet,
                message: "It is there.".to_owned(),
                evidence: Vec::new(),
            }),
            cookies: Some(3),
            notices: Vec::new(),
            room: RoomView::private(
                RoomStart::Fresh,
                vec!["bank.example".to_owned()],
                Isolation::SameUser,
            ),
        };

        let read: CreatedSession =
            serde_json::from_value(serde_json::to_value(&created).unwrap()).unwrap();
        assert_eq!(read.expires_at, "1970-01-01T00:00:00.000Z");
        let read: Session = serde_json::from_value(serde_json::to_value(&view).unwrap()).unwrap();
        assert_eq!((read.status, read.version), (Status::Resolved, 7));
        assert_eq!(read.phase, "ended");
        assert_eq!(read.room, "private");
        assert_eq!(read.grants.unwrap(), ["bank.example"]);
        let outcome = read.outcome.unwrap();
        assert_eq!(outcome.verdict, "signed_in");
        assert_eq!(outcome.reason, "condition_met");
    }
}
