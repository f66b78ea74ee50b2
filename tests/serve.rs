//! The server as a process: its options, its ready line, its answers to operators, its end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "serve/traces.rs"]
mod traces;

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use authloop_protocol::{
    id::{Blob, to_b64u},
    signal::{HostMessage, ServerMessage, SessionCreated},
};
use authloop_signaling_testkit::{
    TestClient as Client, TestDevice as Device, TestSession as Session,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

/// Past this a test has failed; nothing waits for it to pass.
const SOON: Duration = Duration::from_secs(30);

fn authloop(arguments: &[&str]) -> Command {
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

async fn output(command: &mut Command) -> Output {
    timeout(SOON, command.output())
        .await
        .expect("did not end")
        .unwrap()
}

/// The exit code and the one sentence of a server that refuses to start.
async fn refusal(command: &mut Command) -> (i32, String) {
    let output = output(command).await;
    assert!(output.stdout.is_empty(), "announced itself all the same");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    (output.status.code().unwrap(), sentence)
}

struct Server {
    process: Child,
    url: String,
    relay: String,
    http: reqwest::Client,
}

impl Server {
    async fn start(arguments: &[&str]) -> Self {
        Self::spawn(authloop(&[&FREE_PORTS, arguments].concat())).await
    }

    async fn spawn(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let line = timeout(SOON, lines.next_line())
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

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    async fn metric(&self, line: &str) -> Option<String> {
        let text = self.get("/metrics").await.text().await.unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line))?;
        Some(value.trim().to_owned())
    }

    async fn socket(&self, session: &Session, side: &str) -> Client {
        let url = self.url.replacen("http", "ws", 1);
        let url = format!("{url}/v1/sessions/{}/{side}", session.id);
        Client::connect(url, Some(session.id)).await.unwrap()
    }

    /// A claimed session with both sides attached.
    async fn handoff(&self) -> (Session, Client, Client) {
        let mut session = Session::new();
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
        viewer.claim(&session, &Device::new()).await;
        assert!(matches!(viewer.next().await, ServerMessage::Welcome { .. }));
        (session, host, viewer)
    }

    /// Asks the process to end; its exit code and what it logged.
    async fn end(mut self) -> (i32, String) {
        let id = self.process.id().unwrap().to_string();
        let kill = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        assert!(kill.success());
        let status = timeout(SOON, self.process.wait())
            .await
            .expect("did not end")
            .unwrap();
        let mut log = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut log).await.unwrap();
        (status.code().unwrap(), log)
    }
}

const FREE_PORTS: [&str; 6] = [
    "serve",
    "--json",
    "--listen",
    "127.0.0.1:0",
    "--relay-listen",
    "127.0.0.1:0",
];

#[tokio::test]
async fn it_serves_a_handoff_and_says_so_to_operators() {
    let server = Server::start(&[]).await;
    assert_eq!(server.get("/livez").await.status(), 200);
    assert_eq!(server.get("/readyz").await.status(), 200);
    assert_eq!(server.get("/").await.status(), 200);

    let (_, _host, mut viewer) = server.handoff().await;

    let ice = viewer.ice().await;
    assert_eq!(ice.candidates[0].to_string(), server.relay);
    assert_eq!(
        server
            .metric("authloop_sessions{state=\"claimed\"}")
            .await
            .unwrap(),
        "1"
    );
    assert_eq!(server.metric("authloop_claims_total").await.unwrap(), "1");
    assert_eq!(
        server
            .metric("authloop_websockets{side=\"viewer\"}")
            .await
            .unwrap(),
        "1"
    );
    assert_eq!(server.metric("authloop_relay_sessions").await.unwrap(), "1");
    assert_eq!(server.end().await.0, 0);
}

#[tokio::test]
async fn neither_metrics_nor_logs_name_anyone_or_hold_a_secret() {
    let server = Server::start(&["--log", "info"]).await;
    let (session, mut host, mut viewer) = server.handoff().await;
    let ice = viewer.ice().await;
    host.send_text(r#"{"type":"nonsense"}"#).await;
    loop {
        if let ServerMessage::Error { .. } = host.next().await {
            break;
        }
    }
    let url = server.url.clone();
    let address = url.trim_start_matches("http://").to_owned();
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("authloop_websocket_rejects_total{code=\"4400\",side=\"host\"} 1"));
    let (_, log) = server.end().await;

    assert!(log.contains("session registered"), "{log}");
    let id = session.id.to_string();
    assert!(!metrics.contains(&id), "the id is in the metrics");
    for text in [&metrics, &log] {
        for hidden in [
            to_b64u(&session.token),
            to_b64u(&session.host_token),
            ice.pwd.clone(),
            ice.ufrag.clone(),
            address.clone(),
            "127.0.0.1".to_owned(),
            "nonsense".to_owned(),
        ] {
            assert!(!text.contains(&hidden), "{hidden} is in:\n{text}");
        }
    }
}

/// An Allocate without attributes (RFC 8656 section 7.1).
const TURN_ALLOCATE: [u8; 20] = *b"\x00\x03\x00\x00\x21\x12\xa4\x42transaction!";

/// The WebSocket library would log each message as it came.
#[tokio::test]
async fn no_log_level_and_no_filter_shows_a_token() {
    for filter in [
        "trace",
        "trace,tungstenite=trace,tungstenite::protocol=trace",
    ] {
        let server = Server::start(&["--log", filter]).await;
        let (session, _host, mut viewer) = server.handoff().await;
        let ice = viewer.ice().await;
        // TURN's magic cookie: a stream, whose end is traced.
        let address = server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&TURN_ALLOCATE).await.unwrap();
        stream.read_u16().await.unwrap();

        let (_, log) = server.end().await;

        assert!(log.contains("TRACE"), "{log}");
        for hidden in [
            to_b64u(&session.token),
            to_b64u(&session.host_token),
            ice.pwd.clone(),
        ] {
            assert!(!log.contains(&hidden), "{hidden} is in:\n{log}");
        }
    }
}

#[tokio::test]
async fn a_signal_closes_sockets_clearly_and_ends_the_process_well() {
    let server = Server::start(&[]).await;
    let (_, mut host, mut viewer) = server.handoff().await;

    let end = tokio::spawn(server.end());

    assert_eq!(host.closed().await, 1012);
    assert_eq!(viewer.closed().await, 1012);
    drop((host, viewer));
    assert_eq!(end.await.unwrap().0, 0);
}

#[tokio::test]
async fn a_self_signed_certificate_serves_a_local_network() {
    let server = Server::start(&["--tls", "self-signed"]).await;
    assert!(
        server.url.starts_with("https://127.0.0.1:"),
        "{}",
        server.url
    );
    let page = server.get("/").await;
    assert_eq!(page.status(), 200);
    assert!(page.headers().contains_key("strict-transport-security"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("connect-src 'self' wss://127.0.0.1:"),
        "{policy}"
    );
}

#[tokio::test]
async fn sighup_has_the_certificates_files_read_and_ends_nothing() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cert = file("cert.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let mut server = Server::start(&["--tls-cert", &cert, "--tls-key", &key]).await;

    let id = server.process.id().unwrap().to_string();
    let kill = Command::new("kill").args(["-HUP", &id]).status().await;
    assert!(kill.unwrap().success());

    let mut log = BufReader::new(server.process.stderr.as_mut().unwrap()).lines();
    let noticed = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("the certificate's files have not changed") {
                return true;
            }
        }
        false
    };
    assert!(timeout(SOON, noticed).await.unwrap(), "it ended");
    assert_eq!(server.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn api_keys_come_from_the_environment() {
    let mut command = authloop(&FREE_PORTS);
    command.env(
        "AUTHLOOP_API_KEYS",
        "a-key-of-the-tests,another-one-of-them",
    );
    let server = Server::spawn(command).await;
    let create = || server.http.post(format!("{}/v1/sessions", server.url));
    let body = Session::new().registration(None);

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
async fn keys_are_read_again_when_their_file_changes_and_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "first sessions:create the-first-of-the-keys\n").unwrap();
    let file = path.to_str().unwrap();
    let server = Server::start(&["--api-keys-file", file]).await;
    let create = async |key: &str| {
        let request = server.http.post(format!("{}/v1/sessions", server.url));
        let body = Session::new().registration(None);
        let sent = request.json(&body).bearer_auth(key).send().await;
        sent.unwrap().status().as_u16()
    };
    let until = async |metric: &str, value: &str| {
        let came = async {
            while server.metric(metric).await.as_deref() != Some(value) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(SOON, came).await.expect(metric);
    };
    assert_eq!(create("the-first-of-the-keys").await, 201);

    let both =
        "first sessions:create the-first-of-the-keys\nfirst sessions:create its-successor-key\n";
    std::fs::write(&path, both).unwrap();
    until("authloop_api_keys_reloads_total{result=\"ok\"}", "1").await;
    assert_eq!(create("the-first-of-the-keys").await, 201);
    assert_eq!(create("its-successor-key").await, 201);

    std::fs::write(&path, "nobody nothing:at-all hunter2-hunter2-hunter2\n").unwrap();
    until("authloop_api_keys_stale", "1").await;
    assert_eq!(create("its-successor-key").await, 201);

    std::fs::write(&path, both).unwrap();
    until("authloop_api_keys_stale", "0").await;
    let pid = server.process.id().unwrap().to_string();
    let hangup = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(hangup.await.unwrap().success());
    until("authloop_api_keys_reloads_total{result=\"ok\"}", "2").await;

    let (code, log) = server.end().await;
    assert_eq!(code, 0);
    assert!(log.contains("the old keys go on"), "{log}");
    for hidden in ["hunter2", "successor", "the-first"] {
        assert!(!log.contains(hidden), "{log}");
    }
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
    let body = Session::new().registration(None);
    let created = create.json(&body).bearer_auth(key).send().await.unwrap();
    assert_eq!(created.status(), 201);

    let unknown = ["keys", "new", "--name", "ci", "--scope", "sessions:all"];
    let refused = output(&mut authloop(&unknown)).await;
    assert_eq!(refused.status.code(), Some(2));
}

/// `audit verify`: its exit code and what it printed.
async fn verify(arguments: &[&str]) -> (i32, String) {
    let verdict = output(&mut authloop(&[&["audit", "verify"], arguments].concat())).await;
    let text = String::from_utf8(verdict.stdout).unwrap();
    (verdict.status.code().unwrap(), text)
}

#[tokio::test]
async fn the_audit_log_tells_what_happened_over_a_crash_and_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let file = path.to_str().unwrap();
    let options = ["--audit-log", file, "--audit-retain", "30"];
    let lines = || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<serde_json::Value>>()
    };
    let mut server = Server::start(&options).await;
    let (session, _host, _viewer) = server.handoff().await;
    let (code, _) = refusal(&mut authloop(&[&FREE_PORTS, &options[..]].concat())).await;
    assert_eq!(code, 1, "two servers write one log");
    let written = async {
        while server.metric("authloop_audit_lines_total").await.as_deref() != Some("3") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, written).await.expect("not written");
    server.process.kill().await.unwrap();
    let mut torn = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut torn, b"{\"seq\":5,").unwrap();
    assert_eq!(verify(&[file]).await.0, 1);

    let server = Server::start(&options).await;
    let (_, ended) = server.end().await;
    assert!(!ended.contains("ERROR"), "{ended}");

    let names: Vec<_> = lines()
        .iter()
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "segment_started",
            "server_started",
            "session_registered",
            "session_claimed",
            "torn_line_cut",
            "server_started",
            "server_stopped"
        ]
    );
    assert_eq!(lines()[2]["session"], session.id.to_string());
    let text = std::fs::read_to_string(&path).unwrap();
    for hidden in [
        to_b64u(&session.token),
        to_b64u(&session.host_token),
        "127.0.0.1".to_owned(),
        "example".to_owned(),
        "testing".to_owned(),
    ] {
        assert!(!text.contains(&hidden), "{hidden} is in {text}");
    }

    let (code, good) = verify(&[file]).await;
    assert!(code == 0 && good.contains("7 lines"), "{good}");
    let head = good.trim().rsplit(' ').next().unwrap();
    assert_eq!(verify(&[file, "--head", head]).await.0, 0);
    let other = "0".repeat(64);
    assert_eq!(verify(&[file, "--head", &other]).await.0, 1);
    std::fs::write(
        &path,
        text.replacen("session_claimed", "session_declaimed", 1),
    )
    .unwrap();
    let (code, bad) = verify(&[file]).await;
    assert!(code == 1 && bad.contains("line 4"), "{bad}");
}

#[tokio::test]
async fn the_audit_logs_head_is_for_keys_that_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let key = "the-key-of-the-auditor";
    let mut command =
        authloop(&[&FREE_PORTS[..], &["--audit-log", file.to_str().unwrap()]].concat());
    command.env("AUTHLOOP_API_KEYS", format!("auditor audit:read {key}"));
    let server = Server::spawn(command).await;
    assert_eq!(server.get("/audit/head").await.status(), 401);
    let head = async || {
        let request = server
            .http
            .get(format!("{}/audit/head", server.url))
            .bearer_auth(key);
        request
            .send()
            .await
            .unwrap()
            .json::<serde_json::Value>()
            .await
            .unwrap()
    };
    let written = async {
        while head().await["seq"] != 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, written).await.expect("not written");
    let head = head().await["head"].as_str().unwrap().to_owned();
    server.end().await;
    let (code, verdict) = verify(&[file.to_str().unwrap(), "--head", &head]).await;
    assert!(code == 0 && verdict.contains("3 lines"), "{verdict}");
}

#[tokio::test]
async fn a_bad_configuration_is_one_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authloop.toml");
    std::fs::write(&file, "listn = '127.0.0.1:1'\n").unwrap();
    let file = file.to_str().unwrap();

    let (code, sentence) = refusal(&mut authloop(&["serve", "--config", file])).await;
    assert_eq!(code, 2);
    assert!(sentence.contains("unknown key `listn`"), "{sentence}");
    assert!(sentence.contains("did you mean `listen`?"), "{sentence}");
    let (code, sentence) = refusal(&mut authloop(&["serve", "--listen", "0.0.0.0:0"])).await;
    assert_eq!(code, 2);
    assert!(sentence.contains("--api-keys-file"), "{sentence}");
    let unknown = authloop(&["serve", "--listn", "0.0.0.0:0"])
        .output()
        .await
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[tokio::test]
async fn a_taken_port_is_named_by_serve_and_by_check() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let options = ["--listen", &taken, "--relay-listen", "127.0.0.1:0"];

    let (code, sentence) = refusal(&mut authloop(&[&["serve"], &options[..]].concat())).await;
    assert_eq!(code, 1);
    assert!(sentence.contains(&taken), "{sentence}");

    let check = output(&mut authloop(&[&["check"], &options[..]].concat())).await;
    assert_eq!(check.status.code(), Some(1));
    let text = String::from_utf8(check.stdout).unwrap();
    let failed = text.lines().find(|line| line.starts_with("FAIL")).unwrap();
    assert!(
        failed.contains(&taken) && failed.contains("fix:"),
        "{failed}"
    );
}

#[tokio::test]
async fn check_is_content_with_free_ports() {
    let options = [
        "check",
        "--listen",
        "127.0.0.1:0",
        "--relay-listen",
        "0.0.0.0:0",
    ];
    let check = output(&mut authloop(&options)).await;
    let text = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(0), "{text}");
}

/// What `verify` says of this server.
async fn verified(server: &Server, more: &[&str]) -> (i32, String) {
    let output = output(&mut authloop(&[&["verify", &server.url], more].concat())).await;
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

#[tokio::test]
async fn the_published_page_is_known_from_any_other() {
    let own = [
        "--brand-accent",
        "#1a6453",
        "--embed-origins",
        "https://app.example",
    ];
    let (code, said) = verified(&Server::start(&own).await, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("files are as published"), "{said}");
    assert!(said.contains("may frame it: https://app.example"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args([
            "-r",
            "viewer/index.html",
            "viewer/js",
            "viewer/css",
            "viewer/vendor",
        ])
        .args(["viewer/locales", "viewer/img", "viewer/brand"])
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    let changed = Server::start(&["--viewer-dir", folder.path().to_str().unwrap()]).await;
    assert_eq!(
        verified(&changed, &[]).await.0,
        0,
        "the same files from elsewhere"
    );
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, old + text).unwrap();
    };
    write("js/keys.js", "\nfetch('/stolen');\n");
    let (code, said) = verified(&changed, &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL  js/keys.js is another file"), "{said}");
    assert_eq!(said.matches("FAIL").count(), 1, "{said}");
    // A list of its own makes it right; a style that hides something is none of a server's.
    let list = folder.path().join("list");
    let sums = format!(
        "cd {} && sha256sum index.html js/*.js > list",
        folder.path().display()
    );
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &sums])
            .status()
            .unwrap()
            .success()
    );
    let (code, said) = verified(&changed, &["--page", list.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    write("brand/brand.css", "#origin { display: none }");
    let (code, said) = verified(&changed, &["--page", list.to_str().unwrap()]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL  brand/brand.css"), "{said}");
}

#[tokio::test]
async fn a_server_that_cannot_be_judged_is_not_said_to_be_good() {
    for (arguments, why) in [
        (["verify", "http://127.0.0.1:9"], "cannot fetch"),
        (["verify", "relay.example"], "is not a URL"),
    ] {
        let output = output(&mut authloop(&arguments)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
