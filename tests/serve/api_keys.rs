//! API keys: where they come from, and what each lets its holder do.

use authloop_signaling_testkit::TestSession;

use crate::support::{FREE_PORTS, Server, authloop, output};

#[tokio::test]
async fn api_keys_come_from_the_environment() {
    let mut command = authloop(&FREE_PORTS);
    command.env(
        "AUTHLOOP_API_KEYS",
        "a-key-of-the-tests,another-one-of-them",
    );
    let server = Server::spawn(command).await;
    let create = || server.http.post(format!("{}/v1/sessions", server.url));
    let body = TestSession::new().registration(None);

    let refused = create().json(&body).send().await.unwrap();
    let taken = create()
        .json(&body)
        .bearer_auth("another-one-of-them")
        .send()
        .await
        .unwrap();

    assert_eq!(refused.status(), 401);
    assert_eq!(taken.status(), 201);
}

#[tokio::test]
async fn metrics_ask_for_a_key_once_one_may_read_them() {
    let key = "the-key-of-prometheus";
    let mut command = authloop(&FREE_PORTS);
    let keys = format!("prometheus metrics:read {key},another-key-that-registers");
    command.env("AUTHLOOP_API_KEYS", keys);
    let server = Server::spawn(command).await;
    let scrape = |key: &str| {
        let request = server.http.get(format!("{}/metrics", server.url));
        request.bearer_auth(key).send()
    };
    assert_eq!(server.get("/metrics").await.status(), 401);
    let other = scrape("another-key-that-registers").await.unwrap();
    assert_eq!(other.status(), 403);
    let challenge = other.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"scope="metrics:read""#), "{challenge}");
    let text = scrape(key).await.unwrap().text().await.unwrap();
    for result in ["missing", "insufficient_scope", "ok"] {
        let line = format!("authloop_api_key_requests_total{{result=\"{result}\"}} 1");
        assert!(text.contains(&line), "{text}");
    }
    assert!(!text.contains("prometheus\""), "a key's name is in a label");
}

#[tokio::test]
async fn a_fresh_key_lets_its_holder_in_by_the_line_that_comes_with_it() {
    let new = ["keys", "new", "--name", "ci", "--scope", "sessions:create"];
    let made = output(&mut authloop(&new)).await;
    let text = String::from_utf8(made.stdout).unwrap();
    let [key, line] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("not two lines: {text}");
    };
    let mut command = authloop(&FREE_PORTS);
    command.env("AUTHLOOP_API_KEYS", line);
    let server = Server::spawn(command).await;
    let create = server.http.post(format!("{}/v1/sessions", server.url));
    let body = TestSession::new().registration(None);
    let created = create.json(&body).bearer_auth(key).send().await.unwrap();
    assert_eq!(created.status(), 201);

    let unknown = ["keys", "new", "--name", "ci", "--scope", "sessions:all"];
    let refused = output(&mut authloop(&unknown)).await;
    assert_eq!(refused.status.code(), Some(2));
}
