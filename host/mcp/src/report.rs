//! What an agent is told of a handoff: the same for its program and for its model, and no secret. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_agent_api_types::{Status, client::Session};
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

/// Where a handoff stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The user has not finished yet: ask again with `get_handoff_status`.
    Waiting,
    /// The browser shows that the user is signed in.
    SignedIn,
    /// The user is done; nothing was given by which to check it, so look at the page.
    Done,
    /// The user finished, and the browser shows that nobody is signed in, or the session did not move into it.
    NotSignedIn,
    /// The user does not want to, or cannot, or the handoff was cancelled.
    Declined,
    /// The time ran out.
    Expired,
    /// The handoff broke.
    Failed,
}

/// What an agent is told of a handoff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Names the handoff in `get_handoff_status`.
    pub session_id: String,
    /// Where it stands.
    pub state: State,
    /// Whether this is final.
    pub finished: bool,
    /// A finer state, or the reason of the end; stable words.
    pub detail: String,
    /// What to do now.
    pub message: String,
    /// When the handoff ends at the latest, RFC 3339.
    pub expires_at: String,
    /// In which browser the user signs in: `private` or `in_place`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The sites whose session the browser gets from a private one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<String>>,
    /// The CDP address by which to go on in the same browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdp_url: Option<String>,
    /// The link for the user, where the client could not show it itself. Only the user may open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_link: Option<String>,
}

impl Report {
    /// Of a session as it is now.
    pub(crate) fn of(session: &Session) -> Self {
        let verdict = session.outcome.as_ref().map(|o| o.verdict.as_str());
        let state = match (session.status, verdict) {
            (Status::Pending | Status::Active, _) => State::Waiting,
            (Status::Resolved, Some("signed_in")) => State::SignedIn,
            (Status::Resolved, Some("not_signed_in")) => State::NotSignedIn,
            (Status::Resolved, _) if did_not_move(session) => State::NotSignedIn,
            (Status::Resolved, _) => State::Done,
            (Status::Cancelled, _) => State::Declined,
            (Status::Timeout, _) => State::Expired,
            (Status::Error, _) => State::Failed,
        };
        let (detail, said) = match &session.outcome {
            Some(outcome) => (outcome.reason.clone(), outcome.message.as_str()),
            None => (session.phase.clone(), ""),
        };
        let advice = advice(state, session);
        Self {
            session_id: session.session_id.clone(),
            state,
            finished: session.status.is_terminal(),
            detail,
            message: format!("{advice} {said}").trim_end().to_owned(),
            expires_at: session.expires_at.clone(),
            room: Some(session.room.clone()).filter(|room| !room.is_empty()),
            grants: session.grants.clone(),
            cdp_url: None,
            user_link: None,
        }
    }

    /// With where the agent goes on.
    pub(crate) fn going_on_at(mut self, cdp_url: String) -> Self {
        self.cdp_url = Some(cdp_url);
        self
    }

    /// With the link, for a client that cannot show it itself; nothing opens it once it is over.
    pub(crate) fn with_link(mut self, link: &str) -> Self {
        if !self.finished {
            self.message = format!(
                "Show this link to the user, word for word, and open it nowhere yourself: {link} \
                 Then call get_handoff_status until the handoff is finished."
            );
            self.user_link = Some(link.to_owned());
        }
        self
    }
}

/// The service's word for a private room; a session in place, and one of a service without rooms, has another.
const PRIVATE: &str = "private";

fn did_not_move(session: &Session) -> bool {
    let outcome = session.outcome.as_ref();
    outcome.is_some_and(|outcome| outcome.reason == "session_did_not_move")
}

fn advice(state: State, session: &Session) -> String {
    let private = session.room == PRIVATE;
    match (state, session.status) {
        (State::Waiting, Status::Pending) if private => {
            "The user has not opened the link yet. Leave the page that wants the sign-in open, and call \
             get_handoff_status."
        }
        (State::Waiting, Status::Pending) => {
            "The user has not opened the link yet. Leave the browser alone, and call get_handoff_status."
        }
        (State::Waiting, _) if private => {
            "The user is signing in, in a private browser that you cannot see. You may use yours, but leave the page \
             that wants the sign-in open: it is loaded again at the end. Call get_handoff_status."
        }
        (State::Waiting, _) => {
            "The user is signing in. Leave the browser alone, and call get_handoff_status."
        }
        (State::SignedIn, _) if private => {
            let sites = session.grants.as_deref().unwrap_or_default().join(", ");
            return format!(
                "The user has signed in. Go on in the same browser: it has their session at {sites}, and at no other \
                 site."
            );
        }
        (State::SignedIn, _) => "The user has signed in. Go on in the same browser.",
        (State::Done, _) => "The user is done. Look at the page before you go on.",
        (State::NotSignedIn, _) if did_not_move(session) => {
            "The user has finished, but their session did not move into your browser. Look at the page; if it still \
             wants a sign-in, ask the user whether to try again with room \"in_place\"."
        }
        (State::NotSignedIn, _) => "The user has finished, but is not signed in.",
        (State::Declined, _) => {
            "There will be no sign-in. Do not ask again unless the user says so."
        }
        (State::Expired, _) => "The time ran out before the user was done.",
        (State::Failed, _) => "The handoff broke. It may be asked for again.",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use authloop_agent_api_types::client::Outcome;

    use super::*;

    fn session(status: Status, outcome: Option<(&str, &str)>) -> Session {
        Session {
            session_id: "hs_1".to_owned(),
            status,
            phase: "live".to_owned(),
            expires_at: "2026-11-25T03:49:16.000Z".to_owned(),
            version: 1,
            outcome: outcome.map(|(verdict, reason)| Outcome {
                verdict: verdict.to_owned(),
                reason: reason.to_owned(),
                message: "It is there.".to_owned(),
            }),
            room: "in_place".to_owned(),
            grants: None,
        }
    }

    fn private(status: Status, outcome: Option<(&str, &str)>) -> Session {
        Session {
            room: "private".to_owned(),
            grants: Some(vec!["bank.example".to_owned(), "localhost".to_owned()]),
            ..session(status, outcome)
        }
    }

    #[test]
    fn each_end_has_its_state() {
        for (status, outcome, state) in [
            (Status::Pending, None, State::Waiting),
            (Status::Active, None, State::Waiting),
            (
                Status::Resolved,
                Some(("signed_in", "condition_met")),
                State::SignedIn,
            ),
            (
                Status::Resolved,
                Some(("inconclusive", "no_condition")),
                State::Done,
            ),
            (
                Status::Resolved,
                Some(("not_signed_in", "finished_anyway")),
                State::NotSignedIn,
            ),
            (
                Status::Resolved,
                Some(("not_signed_in", "session_did_not_move")),
                State::NotSignedIn,
            ),
            (
                Status::Resolved,
                Some(("inconclusive", "session_did_not_move")),
                State::NotSignedIn,
            ),
            (
                Status::Cancelled,
                Some(("not_signed_in", "declined")),
                State::Declined,
            ),
            (
                Status::Timeout,
                Some(("not_signed_in", "expired")),
                State::Expired,
            ),
            (
                Status::Error,
                Some(("inconclusive", "browser_lost")),
                State::Failed,
            ),
        ] {
            let report = Report::of(&session(status, outcome));

            assert_eq!(report.state, state);
            assert_eq!(report.finished, outcome.is_some());
            assert_eq!(report.detail, outcome.map_or("live", |(_, reason)| reason));
        }
    }

    #[test]
    fn the_words_are_those_of_the_room() {
        let signed_in = Some(("signed_in", "condition_met"));
        let not_moved = Some(("not_signed_in", "session_did_not_move"));
        for (session, said) in [
            (session(Status::Active, None), "Leave the browser alone"),
            (private(Status::Pending, None), "Leave the page"),
            (private(Status::Active, None), "You may use yours"),
            (session(Status::Resolved, signed_in), "in the same browser."),
            (
                private(Status::Resolved, signed_in),
                "their session at bank.example, localhost, and",
            ),
            (private(Status::Resolved, not_moved), "room \"in_place\""),
        ] {
            let report = Report::of(&session);

            assert!(report.message.contains(said), "{}", report.message);
            assert_eq!(
                (report.room, report.grants),
                (Some(session.room), session.grants)
            );
        }
    }

    #[test]
    fn the_link_is_told_only_while_it_opens() {
        let open = Report::of(&session(Status::Pending, None)).with_link("https://a/#x");
        let over = Report::of(&session(
            Status::Resolved,
            Some(("signed_in", "condition_met")),
        ))
        .with_link("https://a/#x");

        assert_eq!(open.user_link.as_deref(), Some("https://a/#x"));
        assert!(open.message.contains("https://a/#x"));
        assert_eq!(over.user_link, None);
        assert!(!over.message.contains("https://a/#x"));
    }
}
