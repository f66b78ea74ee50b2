//! Neither logs nor metrics name anyone or hold a secret.

use authloop_protocol::{id::to_b64u, signal::ServerMessage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::Server;

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
