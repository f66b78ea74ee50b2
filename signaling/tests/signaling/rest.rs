//! The sessions API.

mod registrations;

use authloop_protocol::{
    id::to_b64u,
    signal::{ErrorBody, Outcome, ServerMessage, SessionCreated, SessionState, SessionStatus},
};
use authloop_signaling::{ApiKeys, SignalingEvent};

use crate::support::{TestServer, TestSession, http};

async fn error(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: ErrorBody = response.json().await.unwrap();
    assert!(!body.error.message.is_empty());
    (status, body.error.code)
}

async fn status(server: &TestServer, session: &TestSession) -> SessionStatus {
    let url = server.url(&format!("/v1/sessions/{}", session.id));
    let response = http().get(url).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    response.json().await.unwrap()
}

async fn delete(server: &TestServer, session: &TestSession, token: &[u8]) -> reqwest::Response {
    let url = server.url(&format!("/v1/sessions/{}", session.id));
    let request = http().delete(url).bearer_auth(to_b64u(token));
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_registered_session_shows_its_invitation_and_nothing_else() {
    let server = TestServer::start().await;

    let session = server.session().await;

    assert_eq!(session.host_token.len(), 32);
    let status = status(&server, &session).await;
    assert_eq!(
        (status.state, status.outcome),
        (SessionState::Created, None)
    );
    assert_eq!(status.invitation.0, session.invitation());
    assert_eq!(status.expires_at, session.expires);
    assert_eq!(
        server.count(|event| *event == SignalingEvent::Registered),
        1
    );
}

#[tokio::test]
async fn an_unknown_session_method_or_page_is_a_json_error() {
    let server = TestServer::start().await;
    let unknown = server.url(&format!("/v1/sessions/{}", TestSession::new().id));
    for url in [
        unknown,
        server.url("/v1/sessions/short"),
        server.url("/v1/other"),
    ] {
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(error(answer).await, (404, "not_found".to_owned()));
    }
    let put = http().put(server.url("/v1/sessions")).send().await.unwrap();
    assert_eq!(error(put).await, (405, "bad_request".to_owned()));
}

#[tokio::test]
async fn only_its_host_ends_a_session() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut host = server.host(&session).await;

    let wrong = delete(&server, &session, &[0; 32]).await;
    assert_eq!(error(wrong).await, (401, "unauthorized".to_owned()));
    let right = delete(&server, &session, &session.host_token).await;
    assert_eq!(right.status(), 204);

    let ended = host.next().await;
    assert!(
        matches!(
            ended,
            ServerMessage::Ended {
                outcome: Outcome::Cancelled
            }
        ),
        "{ended:?}"
    );
    assert_eq!(host.closed().await, 1000);
    let status = status(&server, &session).await;
    assert_eq!(
        (status.state, status.outcome),
        (SessionState::Ended, Some(Outcome::Cancelled))
    );
    assert_eq!(
        delete(&server, &session, &session.host_token)
            .await
            .status(),
        204
    );
    let unknown = delete(&server, &TestSession::new(), &[0; 32]).await;
    assert_eq!(error(unknown).await.0, 404);
}

#[tokio::test]
async fn an_api_key_registers_sessions_and_nothing_else_does() {
    let keys = ApiKeys::parse("a-key-for-the-tests").unwrap();
    let server = TestServer::with(|settings| settings.api_keys = Some(keys)).await;
    let body = TestSession::new().registration(None);
    let post = |key: Option<&str>| {
        let request = http().post(server.url("/v1/sessions")).json(&body);
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    };

    for key in [None, Some("a-key-for-the-testz"), Some("")] {
        let refused = post(key).send().await.unwrap();
        assert_eq!(
            error(refused).await,
            (401, "unauthorized".to_owned()),
            "{key:?}"
        );
    }
    let taken = post(Some("a-key-for-the-tests")).send().await.unwrap();
    assert_eq!(taken.status(), 201);
}

const OPS: &str = "the-key-of-the-operators";
const CI: &str = "the-key-of-the-pipeline";

/// `ci` registers, five times a minute at most; `ops` ends.
fn scoped_keys() -> ApiKeys {
    let text = format!("ci sessions:create {CI} rate=5\nops sessions:end {OPS}");
    ApiKeys::parse(&text).unwrap()
}

async fn register_with(server: &TestServer, key: Option<&str>) -> (TestSession, reqwest::Response) {
    let mut session = TestSession::new();
    let mut request = http()
        .post(server.url("/v1/sessions"))
        .json(&session.registration(None));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    if response.status() == 201 {
        let text = response.bytes().await.unwrap();
        let created: SessionCreated = serde_json::from_slice(&text).unwrap();
        session.host_token = created.host_token.0;
        let response = http().get(server.url(&format!("/v1/sessions/{}", session.id)));
        return (session, response.send().await.unwrap());
    }
    (session, response)
}

/// RFC 6750 section 3.1.
#[tokio::test]
async fn a_key_without_the_scope_is_told_which_and_one_unknown_is_not_let_in() {
    let server = TestServer::with(|settings| settings.api_keys = Some(scoped_keys())).await;
    for (key, code, challenge) in [
        (None, (401, "unauthorized"), r#"Bearer realm="authloop""#),
        (
            Some("a-key-that-nobody-knows"),
            (401, "unauthorized"),
            r#"Bearer realm="authloop", error="invalid_token""#,
        ),
        (
            Some(OPS),
            (403, "insufficient_scope"),
            r#"Bearer realm="authloop", error="insufficient_scope", scope="sessions:create""#,
        ),
    ] {
        let (_, refused) = register_with(&server, key).await;
        assert_eq!(refused.headers()["www-authenticate"], challenge);
        assert_eq!(error(refused).await, (code.0, code.1.to_owned()));
    }
    assert_eq!(register_with(&server, Some(CI)).await.1.status(), 200);
    for result in ["missing", "unknown", "insufficient_scope", "ok"] {
        let counted = server.count(|event| *event == SignalingEvent::ApiKey(result));
        assert_eq!(counted, 1, "{result}");
    }
}

#[tokio::test]
async fn a_key_with_the_scope_ends_any_session_and_no_other_key_does() {
    let server = TestServer::with(|settings| settings.api_keys = Some(scoped_keys())).await;
    let (session, _) = register_with(&server, Some(CI)).await;
    let mut host = server.host(&session).await;
    let url = server.url(&format!("/v1/sessions/{}", session.id));

    let refused = http().delete(&url).bearer_auth(CI).send().await.unwrap();
    assert_eq!(error(refused).await, (403, "insufficient_scope".to_owned()));
    let ended = http().delete(&url).bearer_auth(OPS).send().await.unwrap();
    assert_eq!(ended.status(), 204);

    let ended = host.next().await;
    assert!(matches!(
        ended,
        ServerMessage::Ended {
            outcome: Outcome::Cancelled
        }
    ));
}

#[tokio::test]
async fn a_key_that_is_used_too_often_is_told_when_to_come_back() {
    let server = TestServer::with(|settings| settings.api_keys = Some(scoped_keys())).await;
    for _ in 0..5 {
        assert_eq!(register_with(&server, Some(CI)).await.1.status(), 200);
    }

    let (_, refused) = register_with(&server, Some(CI)).await;

    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(error(refused).await, (429, "rate_limited".to_owned()));
}

/// As the server does when the keys' file has changed.
#[tokio::test]
async fn replaced_keys_hold_at_once_and_the_old_ones_no_more() {
    let keys = scoped_keys();
    let shared = keys.clone();
    let server = TestServer::with(|settings| settings.api_keys = Some(shared)).await;
    assert_eq!(register_with(&server, Some(CI)).await.1.status(), 200);

    keys.replace("ci sessions:create the-next-key-of-the-pipeline")
        .unwrap();

    assert_eq!(register_with(&server, Some(CI)).await.1.status(), 401);
    let next = register_with(&server, Some("the-next-key-of-the-pipeline")).await;
    assert_eq!(next.1.status(), 200);
}

#[tokio::test]
async fn an_address_that_registers_too_fast_is_told_when_to_come_back() {
    let server = TestServer::with(|settings| {
        settings.rates.create_burst = 1.try_into().unwrap();
        settings.rates.create_per_second = 1.try_into().unwrap();
    })
    .await;
    server.session().await;

    let refused = server.create(&TestSession::new().registration(None)).await;

    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(error(refused).await, (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn an_address_that_guesses_host_tokens_or_keys_has_to_wait() {
    let server = TestServer::with(|settings| {
        settings.rates.manage_burst = 2.try_into().unwrap();
        settings.rates.manage_per_second = 1.try_into().unwrap();
    })
    .await;
    let session = server.session().await;
    let guess = || delete(&server, &session, &[7; 32]);
    assert_eq!([guess().await.status(), guess().await.status()], [401, 401]);

    // The right one is not told apart from a guess.
    let refused = delete(&server, &session, &session.host_token).await;

    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(error(refused).await, (429, "rate_limited".to_owned()));
    // Registrations have a rate of their own.
    server.session().await;
}

#[tokio::test]
async fn an_address_that_looks_up_sessions_too_fast_has_to_wait() {
    let server = TestServer::with(|settings| {
        settings.rates.lookup_burst = 2.try_into().unwrap();
        settings.rates.lookup_per_second = 1.try_into().unwrap();
    })
    .await;
    let id = server.session().await.id.to_string();
    let url = server.url(&format!("/v1/sessions/{id}"));
    let mut answers = Vec::new();
    let mut sockets = Vec::new();
    // The rate comes back by one a second, which a slow machine may take for a few of these.
    for _ in 0..50 {
        answers.push(http().get(&url).send().await.unwrap().status());
        sockets.push(server.socket(&id, "host", None).await.is_ok());
    }

    assert_eq!(answers[0], 200);
    assert!(answers.iter().any(|status| *status == 429), "{answers:?}");
    assert!(sockets[0] && !sockets.iter().all(|opened| *opened));
}

#[tokio::test]
async fn a_full_server_says_so_until_a_session_ends() {
    let server = TestServer::with(|settings| settings.registry.max_sessions = 1).await;
    let session = server.session().await;
    let refused = server.create(&TestSession::new().registration(None)).await;
    assert_eq!(error(refused).await, (503, "unavailable".to_owned()));

    delete(&server, &session, &session.host_token).await;

    server.session().await;
}

#[tokio::test]
async fn listed_origins_may_read_a_session() {
    let listed = "https://viewer.example";
    let server =
        TestServer::with(|settings| settings.viewer_origins = vec![listed.parse().unwrap()]).await;
    let session = server.session().await;
    let url = server.url(&format!("/v1/sessions/{}", session.id));
    let get = |origin: &'static str| http().get(&url).header("origin", origin);

    let allowed = get(listed).send().await.unwrap();
    let other = get("https://evil.example").send().await.unwrap();

    assert_eq!(allowed.headers()["access-control-allow-origin"], listed);
    assert!(!other.headers().contains_key("access-control-allow-origin"));
}
