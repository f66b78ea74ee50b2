//! What a session may become.

use std::time::Duration;

use super::*;

fn session() -> Session {
    Session::new(
        "hs_1".to_owned(),
        "Bank".to_owned(),
        None,
        OffsetDateTime::UNIX_EPOCH,
        Duration::from_secs(60),
    )
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
