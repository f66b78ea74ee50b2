//! What is refused, and how that is said.

use std::num::NonZeroU32;

use authloop_agent_api::{ApiKeys, Config, RunError};
use serde_json::{Value, json};
use url::Url;

use crate::support::{RunnerStep, Start, TestService, error_of, json_of};

fn keys(lines: &str) -> ApiKeys {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    std::fs::write(&path, lines).unwrap();
    ApiKeys::load(&path).unwrap()
}

#[tokio::test]
async fn a_bad_body_is_refused_by_the_name_of_its_member() {
    let api = TestService::open().await;
    let with = |member: &str, value: Value| {
        let mut body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });
        body[member] = value;
        body
    };
    let cases = [
        ("service", json!({ "cdp_url": "http://127.0.0.1:1" })),
        ("cdp_url", json!({ "service": "Bank" })),
        ("cdp_url", with("cdp_url", json!("ftp://h"))),
        ("service", with("service", json!(""))),
        ("service", with("service", json!("a\nb"))),
        ("ttl", with("ttl", json!(9))),
        ("ttl", with("ttl", json!("600"))),
        ("ttl", with("ttl", json!(86_401))),
        ("tll", with("tll", json!(600))),
        ("context", with("context", json!("x"))),
        ("context.hint", with("context", json!({ "hint": 1 }))),
        ("requester", with("requester", json!("x".repeat(121)))),
        ("requester", with("requester", json!("\u{202e}\u{3164}"))),
        (
            "expected_origins[1]",
            with(
                "expected_origins",
                json!(["https://a.example", "https://a.example/x"]),
            ),
        ),
        ("done_when", with("done_when", json!({ "any": [] }))),
        (
            "done_when",
            with("done_when", json!({ "any": [{ "selector": "" }] })),
        ),
        (
            "done_when.any[0].url",
            with("done_when", json!({ "any": [{ "url": "" }] })),
        ),
        ("auto_finish", with("auto_finish", json!(true))),
        (
            "storage_state.recipient",
            with("storage_state", json!({ "recipient": "AAAA" })),
        ),
        (
            "storage_state.recipient",
            with("storage_state", json!({ "recipient": "!" })),
        ),
        (
            "webhook.url",
            with(
                "webhook",
                json!({ "url": "http://a.example/", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz" }),
            ),
        ),
        (
            "webhook.url",
            with(
                "webhook",
                json!({ "url": "https://10.0.0.1/", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz" }),
            ),
        ),
        (
            "webhook.secret",
            with(
                "webhook",
                json!({ "url": "https://a.example/", "secret": "short" }),
            ),
        ),
        ("gate", with("gate", json!("open"))),
        ("body", json!([])),
    ];
    for (field, body) in cases {
        let answer = api.post("/session").json(&body).send().await.unwrap();

        let (status, code, details) = error_of(answer).await;
        assert_eq!((status, code.as_str()), (400, "invalid_request"), "{body}");
        assert_eq!(details["field"], field, "{body}");
    }
    assert!(api.runner.requests.lock().unwrap().is_empty());
    api.close().await;
}

#[tokio::test]
async fn what_is_no_json_is_refused_by_its_kind() {
    let api = TestService::open().await;
    let json = "application/json";

    let text = api.post("/session").body("{}").send().await.unwrap();
    assert_eq!(error_of(text).await.0, 415);
    let broken = api
        .post("/session")
        .header("content-type", json)
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(error_of(broken).await.0, 400);
    let two = api
        .post("/audit")
        .header("content-type", json)
        .body("{} {}")
        .send()
        .await
        .unwrap();
    assert_eq!(error_of(two).await.0, 400);
    let large = api
        .post("/session")
        .header("content-type", json)
        .body(vec![b' '; 65_537]);
    assert_eq!(error_of(large.send().await.unwrap()).await.0, 413);
    let path = api.get("/nothing").send().await.unwrap();
    assert_eq!(error_of(path).await.1, "not_found");
    let method = api.delete("/session").send().await.unwrap();
    assert_eq!(error_of(method).await.1, "method_not_allowed");
    api.close().await;
}

#[tokio::test]
async fn what_cannot_start_says_which_side_is_away() {
    let api = TestService::open().await;
    let body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });
    let cases = [
        (
            RunError::Browser("no browser".to_owned()),
            412,
            "browser_unreachable",
        ),
        (
            RunError::Signaling("no server".to_owned()),
            502,
            "signaling_unreachable",
        ),
        (RunError::Order("no".to_owned()), 400, "invalid_request"),
        (RunError::Grants("no".to_owned()), 400, "invalid_request"),
        (RunError::Room("no".to_owned()), 503, "room_unavailable"),
        (RunError::Internal("no".to_owned()), 500, "internal"),
    ];
    for (error, status, code) in cases {
        api.next_start(Start::Fail(error));
        let answer = api.post("/session").json(&body).send().await.unwrap();
        let found = error_of(answer).await;
        assert_eq!((found.0, found.1.as_str()), (status, code));
    }
    assert_eq!(
        json_of(api.get("/sessions")).await,
        json!({ "sessions": [] })
    );
    api.close().await;
}

#[tokio::test]
async fn a_key_sees_only_its_own_sessions() {
    let config = Config {
        keys: keys("key-of-the-first-agent\nkey-of-the-second-agent\n"),
        ..Config::default()
    };
    let api = TestService::with(config).await;
    let (first, second) = ("key-of-the-first-agent", "key-of-the-second-agent");
    let body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });

    for request in [
        api.post("/session").json(&body),
        api.post("/session").json(&body).bearer_auth("wrong"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        assert_eq!(error_of(answer).await.1, "unauthorized");
    }
    let created = json_of(api.post("/session").json(&body).bearer_auth(first)).await;
    let path = format!("/session/{}", created["session_id"].as_str().unwrap());

    assert_eq!(
        api.get(&path)
            .bearer_auth(first)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        api.get(&path)
            .bearer_auth(second)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        api.delete(&path)
            .bearer_auth(second)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        json_of(api.get("/sessions").bearer_auth(second)).await,
        json!({ "sessions": [] })
    );
    // The stream's token opens the stream and nothing else.
    let token = created["stream_token"].as_str().unwrap();
    let events = format!("{path}/events");
    assert_eq!(
        api.get(&events)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        api.get(&events)
            .bearer_auth(second)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(api.get(&events).send().await.unwrap().status(), 401);
    assert_eq!(
        api.get(&path)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(api.get("/healthz").send().await.unwrap().status(), 200);
    api.close().await;
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let config = Config {
        rate: NonZeroU32::MIN,
        ..Config::default()
    };
    let api = TestService::with(config).await;

    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(api.get("/sessions").send().await.unwrap());
    }

    let late = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status() == 200));
    let wait: u64 = late.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(error_of(late).await.1, "rate_limited");
    api.close().await;
}

#[tokio::test]
async fn a_stream_token_is_no_way_around_the_limit() {
    let config = Config {
        rate: NonZeroU32::MIN,
        ..Config::default()
    };
    let api = TestService::with(config).await;
    let made = api
        .post("/session")
        .json(&json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" }));
    let created = json_of(made).await;
    let token = created["stream_token"].as_str().unwrap();
    let id = created["session_id"].as_str().unwrap();

    let mut answers = Vec::new();
    for _ in 0..2 {
        let stream = api.get(&format!("/session/{id}/events"));
        answers.push(stream.bearer_auth(token).send().await.unwrap());
    }

    assert_eq!(error_of(answers.pop().unwrap()).await.1, "rate_limited");
    assert_eq!(answers[0].status(), 200);
    drop(answers);
    api.close().await;
}

#[tokio::test]
async fn web_pages_and_foreign_names_are_refused() {
    let api = TestService::open().await;
    let cases = [
        ("host", "evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ];
    for (name, value) in cases {
        let answer = api
            .get("/healthz")
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(error_of(answer).await.1, "forbidden", "{name}: {value}");
    }
    let port = Url::parse(&api.url).unwrap().port().unwrap();
    let localhost = api
        .get("/healthz")
        .header("host", format!("localhost:{port}"));
    assert_eq!(localhost.send().await.unwrap().status(), 200);
    api.close().await;
}

#[tokio::test]
async fn an_expired_session_is_gone() {
    let api = TestService::open().await;
    let id = api.session().await;
    api.step(
        0,
        RunnerStep::End(Ok(authloop_agent_api::SessionEnd::Expired)),
    );
    assert_eq!(api.ended(&id).await["status"], "TIMEOUT");

    for request in [
        api.delete(&format!("/session/{id}")),
        api.post(&format!("/session/{id}/resolve")),
    ] {
        let (status, code, _) = error_of(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (410, "session_expired"));
    }
    api.close().await;
}

#[tokio::test]
async fn audit_events_are_checked_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.jsonl");
    let config = Config {
        audit: authloop_agent_api::AuditLog::open(&file).unwrap(),
        ..Config::default()
    };
    let api = TestService::with(config).await;
    let event = json!({
        "schema_version": 1, "session_id": "hs_1", "wall_type": "password", "service_host": "bank.example",
        "decision": "human_handoff", "outcome": "resolved", "duration_ms": 41, "sdk_version": "0.1.0", "runtime": "other",
    });

    assert_eq!(
        api.post("/audit")
            .json(&event)
            .send()
            .await
            .unwrap()
            .status(),
        202
    );
    for (member, value) in [
        ("schema_version", json!(2)),
        ("outcome", json!("won")),
        ("wall_type", json!("x".repeat(256))),
    ] {
        let mut bad = event.clone();
        bad[member] = value;
        let (status, _, details) =
            error_of(api.post("/audit").json(&bad).send().await.unwrap()).await;
        assert_eq!((status, &details["field"]), (400, &member.into()));
    }
    api.close().await;

    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["session_id"], "hs_1");
    assert!(lines[0]["at"].as_str().unwrap().ends_with('Z'));
}
