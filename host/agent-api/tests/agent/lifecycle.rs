//! From the request to each end.

use std::time::Duration;

use authloop_agent_api::{Config, RunError, SessionEnd, SessionState};
use authloop_done_when::Conclusion;
use authloop_protocol::{input::DeclineReason, signal::WallType};
use serde_json::{Value, json};

use crate::support::{RunnerStep, Start, TestService, error_of, json_of, resolved};

#[tokio::test]
async fn a_session_is_made_with_all_that_an_authloop_client_reads() {
    let api = TestService::open().await;
    let context =
        json!({ "url": "https://bank.example/login", "wall_type": "password", "more": 1 });

    let answer = api
        .post("/session")
        .bearer_auth("any-key-will-do")
        .json(&json!({
            "service": "Bank", "cdp_url": "http://127.0.0.1:1", "ttl": 60, "context": context,
        }))
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let created: Value = answer.json().await.unwrap();
    let id = created["session_id"].as_str().unwrap();
    assert_eq!(created["session_url"], "https://viewer.test/#1");
    assert_eq!(
        created["stream_url"],
        format!("{}/session/{id}/events", api.url)
    );
    assert_eq!(created["cdp_url"], "http://127.0.0.1:1");
    let session = json_of(api.get(&format!("/session/{id}"))).await;
    assert_eq!(session["status"], "PENDING");
    assert_eq!(session["phase"], "waiting");
    assert_eq!(session["context"], context);
    assert_eq!(session["expires_at"], created["expires_at"]);
    assert_eq!(session["outcome"], Value::Null);
    let request = api.runner.requests.lock().unwrap()[0].clone();
    assert_eq!(request.expected_origins, ["https://bank.example"]);
    assert_eq!(request.wall_type, Some(WallType::Password));
    assert_eq!(request.ttl.as_secs(), 60);
    api.close().await;
}

#[tokio::test]
async fn each_end_has_its_status_and_reason() {
    let api = TestService::open().await;
    let browser = RunError::Browser("the browser went away".to_owned());
    let ends = [
        (
            Ok(resolved(false, Conclusion::Unchecked)),
            "RESOLVED",
            "no_condition",
        ),
        (
            Ok(SessionEnd::Declined(DeclineReason::NotRequested)),
            "CANCELLED",
            "not_requested",
        ),
        (Ok(SessionEnd::Expired), "TIMEOUT", "expired"),
        (Err(browser), "ERROR", "browser_lost"),
    ];
    for (n, (end, status, reason)) in ends.into_iter().enumerate() {
        let id = api.session().await;

        api.step(n, RunnerStep::State(SessionState::Claimed));
        api.step(n, RunnerStep::End(end));

        let session = api.ended(&id).await;
        assert_eq!(session["status"], status);
        assert_eq!(session["phase"], "ended");
        assert_eq!(session["outcome"]["reason"], reason);
    }
    let all = json_of(api.get("/sessions")).await;
    let statuses: Vec<_> = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["status"])
        .collect();
    assert_eq!(statuses, ["ERROR", "TIMEOUT", "CANCELLED", "RESOLVED"]);
    api.close().await;
}

#[tokio::test]
async fn a_handoff_that_panics_has_ended() {
    let api = TestService::open().await;
    let id = api.session().await;

    api.step(0, RunnerStep::Panic);

    let session = api.ended(&id).await;
    assert_eq!(
        (&session["status"], &session["outcome"]["reason"]),
        (&"ERROR".into(), &"internal".into())
    );
    api.close().await;
}

#[tokio::test]
async fn the_agent_ends_a_session_once() {
    let api = TestService::open().await;
    let cancelled = api.session().await;
    let resolved = api.session().await;

    let first = json_of(api.delete(&format!("/session/{cancelled}"))).await;
    let second = json_of(api.post(&format!("/session/{resolved}/resolve"))).await;

    assert_eq!(
        (&first["status"], &first["outcome"]["reason"]),
        (&"CANCELLED".into(), &"cancelled".into())
    );
    assert_eq!(
        (&second["status"], &second["outcome"]["reason"]),
        (&"RESOLVED".into(), &"agent_resolved".into())
    );
    assert_eq!(second["cookies"], 2);
    for path in [&cancelled, &resolved] {
        let again = api
            .delete(&format!("/session/{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(error_of(again).await.1, "session_ended");
        let again = api
            .post(&format!("/session/{path}/resolve"))
            .send()
            .await
            .unwrap();
        assert_eq!(error_of(again).await.0, 409);
    }
    api.close().await;
}

#[tokio::test]
async fn a_slot_is_free_again_when_a_session_has_ended() {
    let api = TestService::with(Config {
        max_sessions: 1,
        ..Config::default()
    })
    .await;
    let body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });
    let id = api.session().await;

    let refused = api.post("/session").json(&body).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(
        error_of(refused).await,
        (429, "too_many_sessions".to_owned(), Value::Null)
    );

    api.post(&format!("/session/{id}/resolve"))
        .send()
        .await
        .unwrap();
    // The slot is given back just after the end is told.
    let status = async {
        loop {
            let answer = api.post("/session").json(&body).send().await.unwrap();
            if answer.status() != 429 {
                return answer.status();
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(crate::support::STEP_TIMEOUT, status)
            .await
            .unwrap(),
        201
    );
    api.close().await;
}

#[tokio::test]
async fn the_same_request_twice_makes_one_session() {
    let api = TestService::open().await;
    let body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });
    let ask = |key: &str, body: &Value| {
        api.post("/session")
            .header("idempotency-key", key)
            .json(body)
            .send()
    };
    let started = std::sync::Arc::new(tokio::sync::Notify::new());
    api.next_start(Start::Wait(started.clone()));

    let in_flight = ask("k1", &body);
    let (first, ()) = tokio::join!(in_flight, async {
        // Only once the first is under way does the second ask.
        while api.runner.requests.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let meanwhile = ask("k1", &body).await.unwrap();
        assert_eq!(error_of(meanwhile).await.1, "idempotency_in_flight");
        started.notify_one();
    });
    let first = first.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first = first.text().await.unwrap();
    let again = ask("k1", &body).await.unwrap();
    assert_eq!(
        (
            again.status().as_u16(),
            &again.headers()["idempotency-replayed"]
        ),
        (201, &"true".parse().unwrap())
    );
    assert_eq!(again.text().await.unwrap(), first);
    let mut other = body.clone();
    other["ttl"] = 60.into();
    let mismatch = ask("k1", &other).await.unwrap();
    assert_eq!(
        error_of(mismatch).await,
        (422, "idempotency_mismatch".to_owned(), Value::Null)
    );

    // What failed is not remembered.
    api.next_start(Start::Fail(RunError::Browser("no browser".to_owned())));
    assert_eq!(ask("k2", &body).await.unwrap().status(), 412);
    assert_eq!(ask("k2", &body).await.unwrap().status(), 201);
    assert_eq!(api.runner.requests.lock().unwrap().len(), 3);
    api.close().await;
}

#[tokio::test]
async fn stopping_the_service_withdraws_what_is_open() {
    let api = TestService::open().await;
    let id = api.session().await;
    let stream = api
        .get(&format!("/session/{id}/events"))
        .send()
        .await
        .unwrap();

    api.close().await;

    let events = stream.text().await.unwrap();
    assert!(events.contains("event: session.cancelled"), "{events}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_let_go() {
    let api = TestService::open().await;
    let address = api.url.trim_start_matches("http://");
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();

    let mut byte = [0; 1];
    let read = tokio::io::AsyncReadExt::read(&mut silent, &mut byte);
    let read = tokio::time::timeout(Duration::from_secs(3600), read).await;

    assert!(read.is_ok(), "it stays");
}
