//! What an audit log is told.

use authloop_protocol::{
    id::{Blob, to_b64u},
    signal::{HostMessage, Outcome, ServerMessage, ViewerMessage},
};
use authloop_signaling::{ApiKeys, AuditEvent};

use crate::support::{TestDevice, TestServer, TestSession, http};

/// Waits until `count` events have come.
async fn audited(server: &TestServer, count: usize) -> Vec<AuditEvent> {
    let came = async {
        while server.audit_events().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, came)
        .await
        .expect("too few events");
    server.audit_events()
}

#[tokio::test]
async fn a_handoff_from_its_registration_to_its_end() {
    let server = TestServer::start().await;
    let (session, _, mut host, mut viewer) = server.handoff().await;
    let mut thief = server.viewer_socket(session.id).await;
    thief.claim(&session, &TestDevice::new()).await;
    assert_eq!(thief.refused().await.1, 4409);
    let other = TestDevice::new();
    let mut asking = server.viewer_socket(session.id).await;
    asking.take_over(&session, &other).await;
    assert!(matches!(asking.next().await, ServerMessage::Waiting {}));
    viewer
        .send(&ViewerMessage::TakeoverRefuse {
            commitment: other.commitment(),
        })
        .await;
    assert_eq!(asking.refused().await.1, 4409);
    host.send(&HostMessage::HandOver {
        device: Blob::from(other.public()),
    })
    .await;
    host.send(&HostMessage::HandOver {
        device: Blob::from(other.public()),
    })
    .await;
    host.send(&HostMessage::End {
        outcome: Outcome::Resolved,
    })
    .await;
    assert_eq!(host.closed().await, 1000);

    let id = session.id;
    let expected = [
        AuditEvent::SessionRegistered {
            session: id,
            key: None,
            expires_at: session.expires,
            claimed: false,
            wall_type: None,
        },
        AuditEvent::SessionClaimed { session: id },
        AuditEvent::ClaimRefused { session: id },
        AuditEvent::TakeoverAsked { session: id },
        AuditEvent::TakeoverRefused { session: id },
        AuditEvent::SessionTakenOver { session: id },
        AuditEvent::SessionEnded {
            session: id,
            outcome: Outcome::Resolved,
        },
    ];
    assert_eq!(audited(&server, expected.len()).await, expected);
}

#[tokio::test]
async fn who_registered_who_was_refused_and_who_ended_it_by_the_names_of_their_keys() {
    let (ci, ops) = ("the-key-of-the-pipeline", "the-key-of-the-operators");
    let text = format!("ci sessions:create {ci}\nops sessions:end {ops}");
    let keys = ApiKeys::parse(&text).unwrap();
    let server = TestServer::with(|settings| settings.api_keys = Some(keys)).await;
    let session = TestSession::new();
    let post = |key: &str, body: serde_json::Value| {
        let request = http().post(server.url("/v1/sessions")).json(&body);
        request.bearer_auth(key).send()
    };
    let body = session.registration(None);
    assert_eq!(
        post("a-key-that-nobody-knows", body.clone())
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(post(ops, body.clone()).await.unwrap().status(), 403);
    assert_eq!(post(ci, body.clone()).await.unwrap().status(), 201);
    assert_eq!(post(ci, body).await.unwrap().status(), 409);
    let url = server.url(&format!("/v1/sessions/{}", session.id));
    let ended = http().delete(url).bearer_auth(ops).send().await.unwrap();
    assert_eq!(ended.status(), 204);

    let refused = |key: Option<&str>, code| AuditEvent::RegistrationRefused {
        key: key.map(str::to_owned),
        code,
    };
    let expected = [
        refused(None, "unauthorized"),
        refused(Some("ops"), "insufficient_scope"),
        AuditEvent::SessionRegistered {
            session: session.id,
            key: Some("ci".to_owned()),
            expires_at: session.expires,
            claimed: false,
            wall_type: None,
        },
        refused(Some("ci"), "conflict"),
        AuditEvent::SessionEnded {
            session: session.id,
            outcome: Outcome::Cancelled,
        },
        AuditEvent::EndRequested {
            session: session.id,
            key: Some("ops".to_owned()),
        },
    ];
    let audited = audited(&server, expected.len()).await;
    assert_eq!(audited, expected);
    let written = serde_json::to_string(&audited).unwrap();
    for secret in [ci, ops, &to_b64u(&session.token), "127.0.0.1", "example"] {
        assert!(!written.contains(secret), "{secret} is in {written}");
    }
}
