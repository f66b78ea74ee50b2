//! SIGTERM ends the server well; SIGHUP has files read again.

use std::time::Duration;

use authloop_signaling_testkit::TestSession;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::{Server, TEST_TIMEOUT};

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
    assert!(timeout(TEST_TIMEOUT, noticed).await.unwrap(), "it ended");
    assert_eq!(server.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn sighup_ends_nothing_where_there_is_nothing_to_read() {
    let server = Server::start(&[]).await;
    let (_, mut host, _viewer) = server.handoff().await;

    let id = server.process.id().unwrap().to_string();
    let kill = Command::new("kill").args(["-HUP", &id]).status().await;
    assert!(kill.unwrap().success());

    assert_eq!(server.get("/livez").await.status(), 200);
    let end = tokio::spawn(server.end());
    assert_eq!(host.closed().await, 1012);
    assert_eq!(end.await.unwrap().0, 0);
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
        let body = TestSession::new().registration(None);
        let sent = request.json(&body).bearer_auth(key).send().await;
        sent.unwrap().status().as_u16()
    };
    let until = async |metric: &str, value: &str| {
        let came = async {
            while server.metric(metric).await.as_deref() != Some(value) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(TEST_TIMEOUT, came).await.expect(metric);
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
