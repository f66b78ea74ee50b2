//! In which room the user signs in, and what the agent is told of it.

use authloop_agent_api::{
    Config, RoomChoice, RoomPolicy, RoomRefusal, RoomStart, RoomView, RoomsAllowed, RunError,
    SessionEnd,
};
use authloop_done_when::Conclusion;
use serde_json::{Value, json};

use crate::support::{RunnerStep, Start, TestService, error_of, json_of};

fn body(more: &Value) -> Value {
    let mut body = json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" });
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}

/// The four members of a room.
fn room(of: &Value) -> Value {
    let member = |name: &str| of.as_object().unwrap()[name].clone();
    json!([
        member("room"),
        member("start"),
        member("grants"),
        member("isolation")
    ])
}

#[tokio::test]
async fn a_room_is_told_in_the_answer_and_in_every_view() {
    let api = TestService::open().await;
    let context = json!({ "url": "https://bank.example/login?x", "wall_type": "totp" });
    let cases = [
        (
            json!({ "room": "in_place" }),
            json!(["in_place", null, null, null]),
        ),
        (
            json!({}),
            json!(["private", "fresh", ["page.example"], "same_user"]),
        ),
        (
            json!({ "context": context, "grants": ["bank.example"] }),
            json!(["private", "as_is", ["bank.example"], "same_user"]),
        ),
    ];

    for (more, wanted) in cases {
        let created = json_of(api.post("/session").json(&body(&more))).await;
        let id = created["session_id"].as_str().unwrap();
        let view = json_of(api.get(&format!("/session/{id}"))).await;
        let gone = json_of(api.delete(&format!("/session/{id}"))).await;

        for answer in [created, view, gone] {
            assert_eq!(room(&answer), wanted, "{more}");
        }
    }

    let request = api.runner.requests.lock().unwrap()[2].clone();
    assert_eq!(
        request.room,
        RoomChoice::Private {
            start: RoomStart::AsIs,
            grants: vec!["bank.example".to_owned()],
            url: Some("https://bank.example/login?x".to_owned()),
        }
    );
    api.close().await;
}

#[tokio::test]
async fn a_room_that_the_operator_does_not_allow_is_refused_by_its_member() {
    let rooms = RoomPolicy {
        rooms: RoomsAllowed::Private,
        as_is: false,
    };
    let config = Config {
        rooms,
        ..Config::default()
    };
    let api = TestService::with(config).await;

    for (more, field) in [
        (json!({ "room": "in_place" }), "room"),
        (json!({ "start": "as_is" }), "start"),
    ] {
        let answer = api
            .post("/session")
            .json(&body(&more))
            .send()
            .await
            .unwrap();
        let wanted = (
            403,
            "room_not_allowed".to_owned(),
            json!({ "field": field }),
        );
        assert_eq!(error_of(answer).await, wanted);
    }
    let captcha = json!({ "context": { "wall_type": "captcha" } });
    let bent = json_of(api.post("/session").json(&body(&captcha))).await;

    assert_eq!(room(&bent)[0], "private");
    api.close().await;
}

#[tokio::test]
async fn a_room_that_is_none_is_refused_by_the_name_of_its_member() {
    let api = TestService::open().await;

    for (more, field) in [
        (json!({ "room": "in-place" }), "room"),
        (json!({ "start": "warm" }), "start"),
        (json!({ "room": "in_place", "start": "fresh" }), "start"),
        (json!({ "grants": [] }), "grants"),
        (json!({ "grants": "bank.example" }), "grants"),
        (
            json!({ "grants": ["a.example", "https://b.example"] }),
            "grants[1]",
        ),
    ] {
        let answer = api
            .post("/session")
            .json(&body(&more))
            .send()
            .await
            .unwrap();
        let wanted = (400, "invalid_request".to_owned(), json!({ "field": field }));
        assert_eq!(error_of(answer).await, wanted);
    }
    assert!(api.runner.requests.lock().unwrap().is_empty());
    api.close().await;
}

#[tokio::test]
async fn sites_that_the_runner_does_not_grant_are_refused_before_anything_begins() {
    let api = TestService::open().await;
    let problem = "\"co.uk\" is no site; give the site of an expected origin";
    *api.runner.refusal.lock().unwrap() = Some(RoomRefusal(problem.to_owned()));
    let asked = body(&json!({ "grants": ["co.uk"] }));

    let answer = api
        .post("/session")
        .header("idempotency-key", "k")
        .json(&asked)
        .send()
        .await
        .unwrap();

    let wanted = (
        400,
        "invalid_request".to_owned(),
        json!({ "field": "grants" }),
    );
    assert_eq!(error_of(answer).await, wanted);
    assert!(api.runner.requests.lock().unwrap().is_empty());
    // What failed is not remembered.
    *api.runner.refusal.lock().unwrap() = None;
    let again = api.post("/session").header("idempotency-key", "k");
    assert_eq!(again.json(&asked).send().await.unwrap().status(), 201);
    api.close().await;
}

#[tokio::test]
async fn a_host_without_a_free_room_says_when_to_come_back() {
    let api = TestService::open().await;
    api.next_start(Start::Fail(RunError::Room(
        "all rooms are taken".to_owned(),
    )));

    let answer = api
        .post("/session")
        .json(&body(&json!({})))
        .send()
        .await
        .unwrap();

    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(error_of(answer).await.1, "room_unavailable");
    api.close().await;
}

#[tokio::test]
async fn a_session_that_did_not_move_is_resolved_and_not_signed_in() {
    let api = TestService::open().await;
    let id = api.session().await;
    let finding = authloop_done_when::Finding {
        verdict: authloop_protocol::output::Verdict::NotSignedIn,
        evidence: Vec::new(),
    };
    let conclusion = Conclusion::UserOverride(finding);

    api.step(0, RunnerStep::End(Ok(SessionEnd::NotMoved { conclusion })));

    let end = api.ended(&id).await;
    assert_eq!(
        (&end["status"], &end["cookies"]),
        (&json!("RESOLVED"), &json!(0))
    );
    assert_eq!(end["outcome"]["verdict"], "not_signed_in");
    assert_eq!(end["outcome"]["reason"], "session_did_not_move");
    api.close().await;
}

#[tokio::test]
async fn a_user_who_goes_on_in_place_is_an_event_with_the_new_room() {
    let api = TestService::open().await;
    let id = api.session().await;

    api.step(0, RunnerStep::Room(RoomView::IN_PLACE));
    api.step(0, RunnerStep::End(Ok(SessionEnd::Expired)));
    api.ended(&id).await;

    let events = api
        .get(&format!("/session/{id}/events"))
        .send()
        .await
        .unwrap();
    let text = events.text().await.unwrap();
    let mut rooms = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let view: Value = serde_json::from_str(line).unwrap();
        rooms.push(room(&view)[0].clone());
    }
    assert!(text.contains("event: session.room"), "{text}");
    assert_eq!(rooms, ["private", "in_place", "in_place"]);
    api.close().await;
}
