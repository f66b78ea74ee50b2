//! Long polls, server-sent events, the sealed state, and the document that describes them.

use std::time::Duration;

use authloop_agent_api::{Config, SessionState};
use authloop_done_when::Conclusion;
use authloop_protocol::id::{from_b64u, to_b64u};
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _};
use serde_json::{Value, json};

use crate::support::{RunnerStep, TestService, error_of, json_of, resolved};

type Kem = hpke::kem::DhP256HkdfSha256;

#[tokio::test]
async fn a_long_poll_answers_at_the_change_and_misses_none() {
    let api = TestService::open().await;
    let id = api.session().await;
    let path = format!("/session/{id}");
    let first = json_of(api.get(&path)).await;
    let version = first["version"].as_u64().unwrap();

    // The change comes before the poll: `since` finds it all the same.
    api.step(0, RunnerStep::State(SessionState::Claimed));
    let claimed = json_of(api.get(&format!("{path}?wait=20&since={version}"))).await;
    assert_eq!(
        (&claimed["status"], &claimed["phase"]),
        (&"ACTIVE".into(), &"claimed".into())
    );
    // The change comes after it.
    let since = claimed["version"].as_u64().unwrap();
    let waiting = api.get(&format!("{path}?wait=20&since={since}")).send();
    let (live, ()) = tokio::join!(waiting, async {
        api.step(0, RunnerStep::State(SessionState::Live));
    });
    let live: Value = live.unwrap().json().await.unwrap();
    assert_eq!(live["phase"], "live");
    // Nothing new.
    let tag = format!("\"{}\"", live["version"]);
    let same = api
        .get(&path)
        .header("if-none-match", &tag)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            same.status().as_u16(),
            same.headers()["etag"].to_str().unwrap()
        ),
        (304, tag.as_str())
    );
    // The end is no longer waited for.
    api.step(
        0,
        RunnerStep::End(Ok(resolved(false, Conclusion::Unchecked))),
    );
    api.ended(&id).await;
    let over = json_of(api.get(&format!("{path}?wait=60"))).await;
    assert_eq!(over["status"], "RESOLVED");
    for bad in ["wait=61", "wait=x", "wiat=1", "since=-1"] {
        let answer = api.get(&format!("{path}?{bad}")).send().await.unwrap();
        assert_eq!(error_of(answer).await.0, 400, "{bad}");
    }
    api.close().await;
}

fn names(events: &str) -> Vec<&str> {
    events
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect()
}

#[tokio::test]
async fn a_stream_tells_everything_and_ends_itself() {
    let api = TestService::open().await;
    let id = api.session().await;
    let path = format!("/session/{id}/events");
    let stream = api.get(&path).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");

    for state in [
        SessionState::Claimed,
        SessionState::Live,
        SessionState::Checking,
        SessionState::Live,
    ] {
        api.step(0, RunnerStep::State(state));
    }
    api.step(
        0,
        RunnerStep::End(Ok(resolved(false, Conclusion::Unchecked))),
    );

    let text = stream.text().await.unwrap();
    let told = names(&text);
    assert_eq!(
        told,
        [
            "session.created",
            "session.claimed",
            "session.phase",
            "session.phase",
            "session.checked",
            "session.resolved"
        ]
    );
    let last = text
        .lines()
        .rfind(|line| line.starts_with("data: "))
        .unwrap();
    let last: Value = serde_json::from_str(&last[6..]).unwrap();
    assert_eq!(
        (&last["status"], &last["version"]),
        (&"RESOLVED".into(), &6.into())
    );
    // A client that was away gets the rest; one that has all of it is told to stop.
    let rest = api
        .get(&path)
        .header("last-event-id", "4")
        .send()
        .await
        .unwrap();
    assert_eq!(
        names(&rest.text().await.unwrap()),
        ["session.checked", "session.resolved"]
    );
    let none = api
        .get(&path)
        .header("last-event-id", "6")
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), 204);
    api.close().await;
}

#[tokio::test]
async fn a_stream_tells_at_once() {
    let api = TestService::open().await;
    let id = api.session().await;
    let stream = api
        .get(&format!("/session/{id}/events"))
        .send()
        .await
        .unwrap();
    let mut stream = stream;
    let mut seen = String::new();
    while !seen.contains("session.created") {
        let chunk = stream.chunk().await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }

    api.step(0, RunnerStep::State(SessionState::Claimed));

    while !seen.contains("session.claimed") {
        let chunk = stream.chunk().await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    api.close().await;
}

#[tokio::test]
async fn the_sealed_state_is_read_once() {
    let api = TestService::open().await;
    let (private, public) = Kem::gen_keypair();
    let body = json!({
        "service": "Bank", "cdp_url": "http://127.0.0.1:1",
        "storage_state": { "recipient": to_b64u(&public.to_bytes()), "origins": ["https://bank.example"] },
    });
    let id = api.session_of(body).await;
    let path = format!("/session/{id}/storage-state");
    let early = api.get(&path).send().await.unwrap();
    assert_eq!(error_of(early).await.1, "not_resolved");
    api.step(
        0,
        RunnerStep::End(Ok(resolved(true, Conclusion::Unchecked))),
    );
    api.ended(&id).await;

    let sealed = json_of(api.get(&path)).await;

    let bytes = |member: &str| from_b64u(sealed[member].as_str().unwrap()).unwrap();
    let opened = hpke::single_shot_open::<hpke::aead::AesGcm256, hpke::kdf::HkdfSha256, Kem>(
        &OpModeR::Base,
        &private,
        &<Kem as hpke::Kem>::EncappedKey::from_bytes(&bytes("enc")).unwrap(),
        format!("authloop storage-state v1 {id}").as_bytes(),
        &bytes("ciphertext"),
        b"",
    );
    assert_eq!(opened.unwrap(), br#"{"cookies":[],"origins":[]}"#);
    let again = api.get(&path).send().await.unwrap();
    assert_eq!(error_of(again).await.0, 410);
    let request = api.runner.requests.lock().unwrap()[0].clone();
    assert_eq!(request.storage_origins.unwrap(), ["https://bank.example"]);
    let other = api.session().await;
    let none = api
        .get(&format!("/session/{other}/storage-state"))
        .send()
        .await
        .unwrap();
    assert_eq!(error_of(none).await.0, 404);
    api.close().await;
}

#[tokio::test]
async fn a_state_that_nobody_fetches_is_forgotten() {
    let keep = Duration::from_secs(1);
    let api = TestService::with(Config {
        keep,
        ..Config::default()
    })
    .await;
    let (_, public) = Kem::gen_keypair();
    let recipient = to_b64u(&public.to_bytes());
    let id = api
        .session_of(json!({
            "service": "Bank", "cdp_url": "http://127.0.0.1:1", "storage_state": { "recipient": recipient },
        }))
        .await;
    api.step(
        0,
        RunnerStep::End(Ok(resolved(true, Conclusion::Unchecked))),
    );
    api.ended(&id).await;

    // What is waited for is time itself: the state's own.
    tokio::time::sleep(keep).await;

    let late = api
        .get(&format!("/session/{id}/storage-state"))
        .send()
        .await
        .unwrap();
    assert_eq!(error_of(late).await.1, "already_read");
    api.close().await;
}

#[tokio::test]
async fn of_two_who_ask_at_once_one_gets_the_state_and_what_is_not_there_is_not_found() {
    let api = TestService::open().await;
    let (_, public) = Kem::gen_keypair();
    let body = json!({
        "service": "Bank", "cdp_url": "http://127.0.0.1:1", "storage_state": { "recipient": to_b64u(&public.to_bytes()) },
    });
    let paths = [
        format!(
            "/session/{}/storage-state",
            api.session_of(body.clone()).await
        ),
        format!("/session/{}/storage-state", api.session_of(body).await),
    ];
    api.step(
        0,
        RunnerStep::End(Ok(resolved(true, Conclusion::Unchecked))),
    );
    api.step(
        1,
        RunnerStep::End(Ok(resolved(false, Conclusion::Unchecked))),
    );
    for path in &paths {
        api.ended(path.split('/').nth(2).unwrap()).await;
    }

    let asked = futures_util::future::join_all((0..8).map(|_| api.get(&paths[0]).send())).await;
    let lost = api.get(&paths[1]).send().await.unwrap();

    let mut answers: Vec<u16> = asked
        .into_iter()
        .map(|a| a.unwrap().status().as_u16())
        .collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 410, 410, 410, 410, 410, 410, 410]);
    assert_eq!(error_of(lost).await.0, 404);
    api.close().await;
}

#[tokio::test]
async fn the_document_is_served_and_names_every_path() {
    let api = TestService::open().await;

    let document = json_of(api.get("/openapi.json")).await;

    let mut paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/audit",
            "/healthz",
            "/session",
            "/session/{id}",
            "/session/{id}/events",
            "/session/{id}/resolve",
            "/session/{id}/storage-state",
            "/sessions"
        ]
    );
    assert_eq!(
        document,
        serde_json::to_value(authloop_agent_api::openapi()).unwrap()
    );
    // Each reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    api.close().await;
}
