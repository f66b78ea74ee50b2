//! Clients that take their time, deliberately.

use std::time::Duration;

use authloop::config::{Config, Timeouts};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    CertificateFolder, Server, TEST_TIMEOUT, TestCertificate, config, get, rest, roots, tls,
};

const SHORT_TIMEOUT: Duration = Duration::from_millis(500);

fn with_short_timeouts(config: Config) -> Config {
    Config {
        timeouts: Timeouts {
            greeting: SHORT_TIMEOUT,
            first_request: SHORT_TIMEOUT,
            headers: SHORT_TIMEOUT,
            request: SHORT_TIMEOUT,
            write_stall: SHORT_TIMEOUT,
            ..Timeouts::default()
        },
        ..config
    }
}

async fn plain() -> Server {
    Server::start(with_short_timeouts(config(Default::default()))).await
}

/// Says this, and then a byte every now and then; all that comes until the server has had enough.
async fn drip(stream: impl AsyncRead + AsyncWrite + Unpin, begin: &str) -> String {
    let (reader, mut writer) = tokio::io::split(stream);
    writer.write_all(begin.as_bytes()).await.unwrap();
    let dripping = async move {
        while writer.write_all(b"a").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(SHORT_TIMEOUT / 10).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = dripping => unreachable!(),
        came = rest(reader) => came,
    }
}

#[tokio::test]
async fn headers_that_drip_are_cut() {
    let server = plain().await;
    for begin in ["G", "GET / HTTP/1.1\r\nhost: relay.example\r\nx-slow: "] {
        let came = drip(server.tcp().await, begin).await;
        assert!(!came.contains("200 OK"), "{came}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut() {
    let server = plain().await;
    let request = "POST /v1/sessions HTTP/1.1\r\nhost: relay.example\r\n\
                   content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";

    let came = drip(server.tcp().await, request).await;

    assert!(came.starts_with("HTTP/1.1 408"), "{came}");
    server.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_unread() {
    let server = plain().await;
    let mut stream = server.tcp().await;
    let request = "POST /v1/sessions HTTP/1.1\r\nhost: relay.example\r\n\
                   content-type: application/json\r\ncontent-length: 10000000\r\n\r\n{";
    stream.write_all(request.as_bytes()).await.unwrap();

    assert!(rest(stream).await.starts_with("HTTP/1.1 413"));
    server.end().await;
}

#[tokio::test]
async fn a_connection_that_rests_is_closed() {
    let server = plain().await;
    let mut stream = server.tcp().await;
    let request = b"GET /livez HTTP/1.1\r\nhost: relay.example\r\n\r\n";
    stream.write_all(request).await.unwrap();

    assert!(rest(stream).await.ends_with("alive\n"));
    server.end().await;
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut() {
    let made = TestCertificate::new();
    let server = Server::start(with_short_timeouts(
        CertificateFolder::holding(&made).config(),
    ))
    .await;
    let trusted = roots(&[&made.certificate]);
    let mut stalled = Vec::new();
    // Nothing; the first bytes of a ClientHello (RFC 8446 §5.1).
    for begin in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut stream = server.tcp().await;
        stream.write_all(begin).await.unwrap();
        stalled.push(stream);
    }
    // A handshake, and then nothing.
    let silent = tls(&server, &trusted, &[]).await.unwrap();

    for stream in stalled {
        assert_eq!(rest(stream).await, "");
    }
    assert_eq!(rest(silent).await, "");
    let slow = r#"authloop_connections_refused_total{reason="slow"}"#;
    assert_eq!(server.metric(&trusted, slow).await, Some(3));
    server.end().await;
}

#[tokio::test]
async fn whoever_asks_and_does_not_read_is_cut() {
    let made = TestCertificate::new();
    let by_tls = Server::start(with_short_timeouts(
        CertificateFolder::holding(&made).config(),
    ))
    .await;
    let by_tcp = plain().await;
    let trusted = roots(&[&made.certificate]);

    ask_without_reading(tls(&by_tls, &trusted, &[]).await.unwrap()).await;
    ask_without_reading(by_tcp.tcp().await).await;

    let unread = r#"authloop_connections_refused_total{reason="unread"}"#;
    assert_eq!(by_tls.metric(&trusted, unread).await, Some(1));
    let metrics = get(by_tcp.tcp().await, "/metrics").await;
    assert!(metrics.contains(&format!("{unread} 1")), "{metrics}");
    by_tls.end().await;
    by_tcp.end().await;
}

/// Asks for the page again and again, until the server ends the connection.
async fn ask_without_reading(mut stream: impl AsyncWrite + Unpin) {
    let request = b"GET / HTTP/1.1\r\nhost: relay.example\r\n\r\n".repeat(1000);
    let asking = async { while stream.write_all(&request).await.is_ok() {} };
    timeout(TEST_TIMEOUT, asking)
        .await
        .expect("the connection stays");
}

#[tokio::test]
async fn whoever_is_quick_is_served() {
    let server = plain().await;
    let stream: TcpStream = server.tcp().await;
    let answer = get(stream, "/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.end().await;
}
