//! A real service with a runner that does what the test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use authloop_agent_api::{
    Config, EventReporter, Isolation, RoomChoice, RoomRefusal, RoomView, RunError, Runner, Service,
    SessionEnd, SessionEvent, SessionRequest, SessionState,
};
use authloop_done_when::Conclusion;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The longest any single step may take; the machine may be busy.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// What a scripted handoff does next.
pub(crate) enum RunnerStep {
    State(SessionState),
    Room(RoomView),
    End(Result<SessionEnd, RunError>),
    /// It has a bug.
    Panic,
}

/// What happens to a session's start.
pub(crate) enum Start {
    Link,
    Fail(RunError),
    /// The link comes when the test says so.
    Wait(Arc<tokio::sync::Notify>),
}

#[derive(Default)]
pub(crate) struct ScriptedRunner {
    starts: Mutex<VecDeque<Start>>,
    running: Mutex<Vec<mpsc::UnboundedSender<RunnerStep>>>,
    pub(crate) requests: Mutex<Vec<SessionRequest>>,
    /// Refuses every room from then on.
    pub(crate) refusal: Mutex<Option<RoomRefusal>>,
}

#[async_trait::async_trait]
impl Runner for ScriptedRunner {
    async fn run(
        &self,
        request: SessionRequest,
        cancel: CancellationToken,
        finish: CancellationToken,
        mut report: EventReporter,
    ) -> Result<SessionEnd, RunError> {
        let wants_state = request.storage_state;
        let room = room_of(&request);
        self.requests.lock().unwrap().push(request);
        let (steps, mut step) = mpsc::unbounded_channel();
        let number = {
            let mut running = self.running.lock().unwrap();
            running.push(steps);
            running.len()
        };
        let start = self.starts.lock().unwrap().pop_front();
        match start.unwrap_or(Start::Link) {
            Start::Link => {}
            Start::Fail(error) => return Err(error),
            Start::Wait(notify) => notify.notified().await,
        }
        report(SessionEvent::Room(room));
        report(SessionEvent::Link(format!("https://viewer.test/#{number}")));
        report(SessionEvent::State(SessionState::Waiting));
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(SessionEnd::Cancelled),
                () = finish.cancelled() => return Ok(resolved(wants_state, Conclusion::Agent)),
                step = step.recv() => match step {
                    Some(RunnerStep::State(state)) => report(SessionEvent::State(state)),
                    Some(RunnerStep::Room(room)) => report(SessionEvent::Room(room)),
                    Some(RunnerStep::End(end)) => return end,
                    Some(RunnerStep::Panic) => panic!("played"),
                    None => std::future::pending().await,
                },
            }
        }
    }

    fn check_room(&self, _: &SessionRequest) -> Result<(), RoomRefusal> {
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

/// Every room is to be had; the site is that of the page if none is asked for.
fn room_of(request: &SessionRequest) -> RoomView {
    match request.room.clone() {
        RoomChoice::InPlace => RoomView::IN_PLACE,
        RoomChoice::Private { start, grants, .. } => {
            let sites = if grants.is_empty() {
                vec!["page.example".to_owned()]
            } else {
                grants
            };
            RoomView::private(start, sites, Isolation::SameUser)
        }
    }
}

/// An end by the user, with or without a state.
pub(crate) fn resolved(state: bool, conclusion: Conclusion) -> SessionEnd {
    SessionEnd::Resolved {
        cookies: 2,
        storage_state: state.then(|| r#"{"cookies":[],"origins":[]}"#.into()),
        conclusion,
    }
}

/// The service, and a client of it.
pub(crate) struct TestService {
    pub(crate) url: String,
    pub(crate) runner: Arc<ScriptedRunner>,
    client: Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl TestService {
    pub(crate) async fn open() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runner = Arc::new(ScriptedRunner::default());
        let service = Service::new(listener, config, Arc::clone(&runner) as _).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { service.serve(stop).await }
        });
        // Whoever is first installs it; the workspace links one provider.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .timeout(STEP_TIMEOUT)
            .build()
            .unwrap();
        Self {
            url,
            runner,
            client,
            stop,
            serving,
        }
    }

    pub(crate) fn next_start(&self, start: Start) {
        self.runner.starts.lock().unwrap().push_back(start);
    }

    /// Has the `n`th handoff do something.
    pub(crate) fn step(&self, n: usize, step: RunnerStep) {
        self.runner.running.lock().unwrap()[n].send(step).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(format!("{}{path}", self.url))
    }

    /// A session by the least request; its id.
    pub(crate) async fn session(&self) -> String {
        self.session_of(json!({ "service": "Bank", "cdp_url": "http://127.0.0.1:1" }))
            .await
    }

    pub(crate) async fn session_of(&self, body: Value) -> String {
        let answer = self.post("/session").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let created: Value = answer.json().await.unwrap();
        created["session_id"].as_str().unwrap().to_owned()
    }

    /// Polls until the session is terminal.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        loop {
            let session = json_of(self.get(&format!("/session/{id}?wait=10"))).await;
            let status = session["status"].as_str().unwrap();
            if status != "PENDING" && status != "ACTIVE" {
                return session;
            }
        }
    }

    /// Stops the service and waits until it has.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        tokio::time::timeout(STEP_TIMEOUT, self.serving)
            .await
            .unwrap()
            .unwrap();
    }
}

pub(crate) async fn json_of(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

/// The status, the error's code, and its details.
pub(crate) async fn error_of(answer: Response) -> (u16, String, Value) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let error = &body["error"];
    assert!(!error["message"].as_str().unwrap().is_empty());
    let code = error["code"].as_str().unwrap().to_owned();
    (status, code, error["details"].clone())
}
