//! From the start to the end: options, ports, the ready line, answers to operators.

use crate::support::{Server, authloop, output, refusal};

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
