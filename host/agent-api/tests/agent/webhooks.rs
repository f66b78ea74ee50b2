//! Messages to the agent's own server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use authloop_agent_api::{Config, RetryPolicy, SessionState, WebhookPolicy};
use authloop_done_when::Conclusion;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{RunnerStep, STEP_TIMEOUT, TestService, error_of, resolved};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A receiver that answers as planned, then with 204.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

#[derive(Clone)]
struct Answers {
    plan: Arc<Mutex<VecDeque<Response>>>,
    sender: mpsc::UnboundedSender<Received>,
}

impl Receiver {
    async fn start(plan: Vec<Response>) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let plan = Arc::new(Mutex::new(VecDeque::from(plan)));
        let answer =
            async |State(answers): State<Answers>, headers: HeaderMap, body: axum::body::Bytes| {
                let body = body.to_vec();
                let _ = answers.sender.send(Received { headers, body });
                let planned = answers.plan.lock().unwrap().pop_front();
                planned.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response())
            };
        let routes = Router::new()
            .route("/hook", post(answer))
            .with_state(Answers { plan, sender });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, received }
    }

    async fn next(&mut self) -> Received {
        tokio::time::timeout(STEP_TIMEOUT, self.received.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The next message, its signature checked by the library.
    async fn verified(&mut self) -> (String, Value) {
        let Received { headers, body } = self.next().await;
        standardwebhooks::Webhook::new(SECRET)
            .unwrap()
            .verify(&body, &headers)
            .unwrap();
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        (id, serde_json::from_slice(&body).unwrap())
    }
}

fn config(allow: &[&str]) -> Config {
    Config {
        webhooks: WebhookPolicy {
            allow: allow.iter().map(|host| (*host).to_owned()).collect(),
            retry: RetryPolicy {
                first: Duration::from_millis(1),
                attempts: 4,
            },
        },
        ..Config::default()
    }
}

fn body(url: &str) -> Value {
    json!({
        "service": "Bank", "cdp_url": "http://127.0.0.1:1", "webhook": { "url": url, "secret": SECRET },
    })
}

#[tokio::test]
async fn the_course_of_a_session_is_told_signed() {
    let mut receiver = Receiver::start(vec![]).await;
    let api = TestService::with(config(&["127.0.0.1"])).await;
    let id = api.session_of(body(&receiver.url)).await;

    let mut told = vec![receiver.verified().await.1];
    api.step(0, RunnerStep::State(SessionState::Claimed));
    told.push(receiver.verified().await.1);
    api.step(0, RunnerStep::State(SessionState::Live));
    api.step(
        0,
        RunnerStep::End(Ok(resolved(false, Conclusion::Unchecked))),
    );
    told.push(receiver.verified().await.1);

    let types: Vec<_> = told
        .iter()
        .map(|message| message["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        ["session.created", "session.claimed", "session.resolved"]
    );
    assert!(
        told.iter()
            .all(|message| message["data"]["session_id"] == id.as_str())
    );
    assert_eq!(told[2]["data"]["status"], "RESOLVED");
    api.close().await;
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_as_the_same_message() {
    let plan = vec![
        StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        // Not followed: the receiver might send us to a private address.
        Redirect::temporary("/hook").into_response(),
    ];
    let mut receiver = Receiver::start(plan).await;
    let api = TestService::with(config(&["127.0.0.1"])).await;
    let _id = api.session_of(body(&receiver.url)).await;

    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(receiver.verified().await.0);
    }

    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    api.close().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone() {
    let plan = vec![StatusCode::GONE.into_response()];
    let mut receiver = Receiver::start(plan).await;
    let api = TestService::with(config(&["127.0.0.1"])).await;
    let id = api.session_of(body(&receiver.url)).await;
    let (first, _) = receiver.verified().await;

    api.delete(&format!("/session/{id}")).send().await.unwrap();
    let (second, message) = receiver.verified().await;
    api.close().await;

    assert_ne!(first, second);
    assert_eq!(message["type"], "session.cancelled");
    assert!(
        receiver.received.try_recv().is_err(),
        "the first was sent again"
    );
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_even_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let api = TestService::with(config(&[])).await;
    // A literal address is refused at once, a name when it is resolved.
    let literal = api
        .post("/session")
        .json(&body("https://127.0.0.1/"))
        .send()
        .await
        .unwrap();
    assert_eq!(error_of(literal).await.2["field"], "webhook.url");

    let _id = api
        .session_of(body(&format!("https://localhost:{port}/")))
        .await;
    // Closing waits for the delivery to be given up.
    api.close().await;

    assert!(
        listener.accept().now_or_never().is_none(),
        "it was connected to"
    );
}
