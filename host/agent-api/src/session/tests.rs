//! What a session may become.

use std::time::Duration;

use authloop_agent_api_types::{Isolation, RoomStart};

use super::*;

fn session() -> Session {
    session_in(RoomView::IN_PLACE)
}

fn session_in(room: RoomView) -> Session {
    Session::new(
        "hs_1".to_owned(),
        "Bank".to_owned(),
        None,
        room,
        OffsetDateTime::UNIX_EPOCH,
        Duration::from_secs(60),
    )
}

fn private() -> RoomView {
    let sites = vec!["bank.example".to_owned()];
    RoomView::private(RoomStart::Fresh, sites, Isolation::OwnUser)
}

fn finding(verdict: output::Verdict) -> Finding {
    Finding {
        verdict,
        evidence: Vec::new(),
    }
}

fn resolved(conclusion: Conclusion) -> Result<SessionEnd, RunError> {
    Ok(SessionEnd::Resolved {
        cookies: 3,
        storage_state: None,
        conclusion,
    })
}

#[test]
fn it_is_pending_then_active_then_what_ends_it_first() {
    let mut session = session();
    let names: Vec<_> = [
        SessionState::Waiting,
        SessionState::Claimed,
        SessionState::Connecting,
        SessionState::Live,
        SessionState::Checking,
        SessionState::Live,
    ]
    .into_iter()
    .filter_map(|state| session.enter(state))
    .map(|event| (event.kind.name(), event.view.status))
    .collect();
    let claimed = [
        ("session.claimed", Status::Active),
        ("session.phase", Status::Active),
        ("session.phase", Status::Active),
        ("session.phase", Status::Active),
        ("session.checked", Status::Active),
    ];
    assert_eq!(names, claimed);

    assert!(session.end(&Ok(SessionEnd::Expired)).is_some());
    let version = session.view().version;

    assert!(session.end(&resolved(Conclusion::Unchecked)).is_none());
    assert!(session.enter(SessionState::Live).is_none());
    assert_eq!(session.view().status, Status::Timeout);
    assert_eq!(session.view().version, version);
    assert_eq!(session.view().cookies, None);
}

#[test]
fn every_end_has_its_status_verdict_and_reason() {
    use output::Verdict::{Inconclusive as Unknown, NotSignedIn as No, SignedIn as Yes};
    let browser = || Err(RunError::Browser("gone".to_owned()));
    let cases: Vec<(Result<SessionEnd, RunError>, Status, Verdict, Reason)> = vec![
        (
            resolved(Conclusion::Checked(finding(Yes))),
            Status::Resolved,
            Verdict::SignedIn,
            Reason::ConditionMet,
        ),
        (
            resolved(Conclusion::Checked(finding(Unknown))),
            Status::Resolved,
            Verdict::Inconclusive,
            Reason::NotCheckable,
        ),
        (
            resolved(Conclusion::UserOverride(finding(No))),
            Status::Resolved,
            Verdict::NotSignedIn,
            Reason::FinishedAnyway,
        ),
        (
            resolved(Conclusion::Unchecked),
            Status::Resolved,
            Verdict::Inconclusive,
            Reason::NoCondition,
        ),
        (
            Ok(SessionEnd::NotMoved {
                conclusion: Conclusion::UserOverride(finding(No)),
            }),
            Status::Resolved,
            Verdict::NotSignedIn,
            Reason::SessionDidNotMove,
        ),
        (
            Ok(SessionEnd::NotMoved {
                conclusion: Conclusion::Checked(finding(Unknown)),
            }),
            Status::Resolved,
            Verdict::Inconclusive,
            Reason::SessionDidNotMove,
        ),
        (
            Ok(SessionEnd::NotMoved {
                conclusion: Conclusion::Checked(finding(Yes)),
            }),
            Status::Resolved,
            Verdict::Inconclusive,
            Reason::SessionDidNotMove,
        ),
        (
            Ok(SessionEnd::Declined(DeclineReason::NotRequested)),
            Status::Cancelled,
            Verdict::NotSignedIn,
            Reason::NotRequested,
        ),
        (
            Ok(SessionEnd::Expired),
            Status::Timeout,
            Verdict::NotSignedIn,
            Reason::Expired,
        ),
        (
            browser(),
            Status::Error,
            Verdict::Inconclusive,
            Reason::BrowserLost,
        ),
        (
            Err(RunError::Room("all 4 rooms are taken".to_owned())),
            Status::Error,
            Verdict::Inconclusive,
            Reason::RoomUnavailable,
        ),
    ];
    for (end, status, verdict, reason) in cases {
        let mut session = session();
        session.end(&end);
        let view = session.view();
        let outcome = view.outcome.as_ref().unwrap();
        let found = (view.status, outcome.verdict, outcome.reason);
        assert_eq!(found, (status, verdict, reason), "{end:?}");
    }
}

#[test]
fn the_oldest_events_are_forgotten() {
    let mut session = session();
    for _ in 0..40 {
        session.enter(SessionState::Live);
        session.enter(SessionState::Reconnecting);
    }

    let versions: Vec<_> = session.events_after(0).map(|e| e.view.version).collect();

    assert_eq!(versions, (18..=81).collect::<Vec<_>>());
    assert_eq!(session.events_after(80).count(), 1);
}

#[test]
fn a_passkey_asked_for_is_told_once_and_is_the_reason_of_a_refusal() {
    let mut asked = session();
    asked.enter(SessionState::Claimed);

    let event = asked.notice(Notice::PasskeyRequired).unwrap();
    assert_eq!(event.kind.name(), "session.notice");
    assert!(!event.kind.is_told());
    assert!(asked.notice(Notice::PasskeyRequired).is_none());

    let declined = Ok(SessionEnd::Declined(DeclineReason::CannotComplete));
    for (mut session, reason) in [
        (asked, Reason::PasskeyRequired),
        (session(), Reason::CannotComplete),
    ] {
        session.end(&declined);
        assert_eq!(session.view().outcome.as_ref().unwrap().reason, reason);
        assert!(session.notice(Notice::PasskeyRequired).is_none());
    }
}

#[test]
fn a_session_that_did_not_move_has_its_evidence_and_no_cookies() {
    let mut session = session_in(private());
    let evidence = authloop_done_when::Evidence {
        condition: serde_json::from_value(serde_json::json!({ "selector": "#logout" })).unwrap(),
        met: Some(false),
        detail: String::new(),
    };
    let conclusion = Conclusion::UserOverride(Finding {
        verdict: output::Verdict::NotSignedIn,
        evidence: vec![evidence],
    });

    session.end(&Ok(SessionEnd::NotMoved { conclusion }));

    assert_eq!(session.view().cookies, Some(0));
    assert_eq!(session.view().outcome.as_ref().unwrap().evidence.len(), 1);
}

#[test]
fn going_on_in_another_room_is_told_once_and_not_by_webhooks() {
    let mut session = session_in(private());
    assert!(session.change_room(private()).is_none());

    let event = session.change_room(RoomView::IN_PLACE).unwrap();

    assert_eq!(event.kind.name(), "session.room");
    assert!(!event.kind.is_told());
    assert_eq!(event.view.room, RoomView::IN_PLACE);
    session.end(&Ok(SessionEnd::Expired));
    assert!(session.change_room(private()).is_none());
}

#[test]
fn a_page_in_a_private_room_says_nothing_to_the_agent() {
    let mut session = session_in(private());

    assert!(session.notice(Notice::PasskeyRequired).is_none());

    session.end(&Ok(SessionEnd::Declined(DeclineReason::CannotComplete)));
    let reason = session.view().outcome.as_ref().unwrap().reason;
    assert_eq!(reason, Reason::CannotComplete);
    assert!(session.view().notices.is_empty());
}
