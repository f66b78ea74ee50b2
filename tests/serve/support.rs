//! The server's process, and what the tests ask of it.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, ServerMessage, SessionCreated},
};
use authloop_signaling_testkit::{TestClient, TestDevice, TestSession};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Past this a test has failed; nothing waits for it to pass.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn authloop(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authloop"));
    let inherited = std::env::vars_os().filter(|(name, _)| {
        name.to_str()
            .is_none_or(|name| !name.starts_with("AUTHLOOP_"))
    });
    command
        .args(arguments)
        .env_clear()
        .envs(inherited)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn output(command: &mut Command) -> Output {
    timeout(TEST_TIMEOUT, command.output())
        .await
        .expect("did not end")
        .unwrap()
}

/// The exit code and the one sentence of a server that refuses to start.
pub(crate) async fn refusal(command: &mut Command) -> (i32, String) {
    let output = output(command).await;
    assert!(output.stdout.is_empty(), "announced itself all the same");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    (output.status.code().unwrap(), sentence)
}

pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) url: String,
    pub(crate) relay: String,
    pub(crate) http: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::spawn(authloop(&[&FREE_PORTS, arguments].concat())).await
    }

    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let line = timeout(TEST_TIMEOUT, lines.next_line())
            .await
            .expect("never ready")
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line.expect("ended")).unwrap();
        assert_eq!(ready["event"], "listening");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder();
        Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            relay: ready["relay"].as_str().unwrap().to_owned(),
            process,
            http: builder
                .tls_danger_accept_invalid_certs(true)
                .build()
                .unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn metric(&self, line: &str) -> Option<String> {
        let text = self.get("/metrics").await.text().await.unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line))?;
        Some(value.trim().to_owned())
    }

    pub(crate) async fn socket(&self, session: &TestSession, side: &str) -> TestClient {
        let url = self.url.replacen("http", "ws", 1);
        let url = format!("{url}/v1/sessions/{}/{side}", session.id);
        TestClient::connect(url, Some(session.id)).await.unwrap()
    }

    /// A claimed session with both sides attached.
    pub(crate) async fn handoff(&self) -> (TestSession, TestClient, TestClient) {
        let mut session = TestSession::new();
        let create = self.http.post(format!("{}/v1/sessions", self.url));
        let created = create
            .json(&session.registration(None))
            .send()
            .await
            .unwrap();
        assert_eq!(created.status(), 201);
        session.host_token = created.json::<SessionCreated>().await.unwrap().host_token.0;
        let mut host = self.socket(&session, "host").await;
        host.challenge().await;
        let host_token = Blob::from(&session.host_token);
        host.send(&HostMessage::Attach { host_token }).await;
        assert!(matches!(host.next().await, ServerMessage::Welcome { .. }));
        let mut viewer = self.socket(&session, "viewer").await;
        viewer.claim(&session, &TestDevice::new()).await;
        assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
        (session, host, viewer)
    }

    /// Asks the process to end; its exit code and what it logged.
    pub(crate) async fn end(mut self) -> (i32, String) {
        let id = self.process.id().unwrap().to_string();
        let kill = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        assert!(kill.success());
        let status = timeout(TEST_TIMEOUT, self.process.wait())
            .await
            .expect("did not end")
            .unwrap();
        let mut log = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut log).await.unwrap();
        (status.code().unwrap(), log)
    }
}

/// `serve` on ports that the system chooses.
pub(crate) const FREE_PORTS: [&str; 6] = [
    "serve",
    "--json",
    "--listen",
    "127.0.0.1:0",
    "--relay-listen",
    "127.0.0.1:0",
];
