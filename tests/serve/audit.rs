//! The audit log, and `audit verify`.

use std::time::Duration;

use authloop_protocol::id::to_b64u;
use tokio::time::timeout;

use crate::support::{FREE_PORTS, Server, TEST_TIMEOUT, authloop, output, refusal};

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
    timeout(TEST_TIMEOUT, written).await.expect("not written");
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
    timeout(TEST_TIMEOUT, written).await.expect("not written");
    let head = head().await["head"].as_str().unwrap().to_owned();
    server.end().await;
    let (code, verdict) = verify(&[file.to_str().unwrap(), "--head", &head]).await;
    assert!(code == 0 && verdict.contains("3 lines"), "{verdict}");
}
