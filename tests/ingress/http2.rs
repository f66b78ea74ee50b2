//! HTTP/2 at the HTTPS port, spoken by a library and by hand.

use std::time::Duration;

use authloop::config::Config;
use axum::{body::Body, http::Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::support::{
    CertificateFolder, Server, TEST_TIMEOUT, TestCertificate, config, get, roots, tls,
};

/// A frame's kinds (RFC 9113 §6).
mod kind {
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
}

/// END_STREAM and END_HEADERS (§6.2).
const END_STREAM_AND_HEADERS: u8 = 5;
/// GET, https, /livez, relay.example by HPACK (RFC 7541): two indexed, two literal.
const REQUEST: &[u8] = b"\x82\x87\x04\x06/livez\x41\x0drelay.example";

/// GET, https, /, relay.example.
const PAGE_REQUEST: &[u8] = b"\x82\x87\x84\x41\x0drelay.example";
/// SETTINGS_INITIAL_WINDOW_SIZE of zero (§6.5.2): the client takes no byte of any body.
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];

/// The server, and a connection to it that speaks HTTP/2.
async fn connect(change: impl FnOnce(&mut Config)) -> (Server, TlsStream<TcpStream>) {
    let made = TestCertificate::new();
    let files = CertificateFolder::holding(&made);
    let mut config = files.config();
    change(&mut config);
    let server = Server::start(config).await;
    let stream = tls(&server, &roots(&[&made.certificate]), &["h2"]).await;
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    (server, stream)
}

/// §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// §3.4.
fn preface() -> Vec<u8> {
    preface_with(&[])
}

fn preface_with(settings: &[u8]) -> Vec<u8> {
    [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(kind::SETTINGS, 0, 0, settings),
    ]
    .concat()
}

/// The next frame's kind and payload; `None` when the connection has ended.
async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length.try_into().unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

/// The kinds of all frames until the server ends the connection.
async fn all(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let reading = async {
        let mut kinds = Vec::new();
        while let Some((kind, _)) = next(&mut stream).await {
            kinds.push(kind);
        }
        kinds
    };
    timeout(TEST_TIMEOUT, reading)
        .await
        .expect("the connection stays")
}

#[tokio::test]
async fn every_answer_by_http2_has_hsts() {
    let (server, stream) = connect(|_| {}).await;
    let io = TokioIo::new(stream);
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);

    for (path, status) in [
        ("/", 200),
        ("/livez", 200),
        ("/v1/sessions/nobody", 404),
        ("/nowhere", 404),
    ] {
        let request = hyper::Request::get(format!("https://relay.example{path}"));
        let answer = send.send_request(request.body(Body::empty()).unwrap());
        let answer = timeout(TEST_TIMEOUT, answer).await.unwrap().unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.status(), status, "{path}");
        let policy = &answer.headers()["strict-transport-security"];
        assert_eq!(policy, "max-age=63072000", "{path}");
    }
    connection.abort();
    server.end().await;
}

#[tokio::test]
async fn the_server_says_how_much_it_takes_at_once() {
    let (server, mut stream) = connect(|_| {}).await;
    stream.write_all(&preface()).await.unwrap();

    let (kind, payload) = timeout(TEST_TIMEOUT, next(&mut stream))
        .await
        .unwrap()
        .unwrap();

    assert_eq!(kind, kind::SETTINGS);
    let settings: Vec<(u16, u32)> = payload
        .chunks(6)
        .map(|entry| {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            (id, u32::from_be_bytes(entry[2..].try_into().unwrap()))
        })
        .collect();
    // §6.5.2: concurrent streams, window, header list.
    for (id, most) in [(3, 32), (4, 64 * 1024), (6, 32 * 1024)] {
        let found = settings.iter().find(|(found, _)| *found == id);
        assert!(
            found.is_some_and(|(_, value)| *value <= most),
            "{settings:?}"
        );
    }
    drop(stream);
    server.end().await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let (server, stream) = connect(|_| {}).await;
    let (reader, mut writer) = tokio::io::split(stream);
    let mut flood = preface();
    for stream in (1..2001).step_by(2) {
        flood.extend(frame(
            kind::HEADERS,
            END_STREAM_AND_HEADERS,
            stream,
            REQUEST,
        ));
        // CANCEL (§7).
        flood.extend(frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&flood).await;
        let _ = writer.flush().await;
        writer
    });

    let kinds = all(reader).await;

    assert!(kinds.contains(&kind::GOAWAY), "{kinds:?}");
    writing.abort();
    server.end().await;
}

#[tokio::test]
async fn whoever_answers_no_ping_is_cut() {
    let (server, stream) = connect(|config| {
        config.timeouts.http2_ping_interval = Duration::from_millis(100);
        config.timeouts.http2_pong = Duration::from_millis(100);
    })
    .await;
    let (reader, mut writer) = tokio::io::split(stream);
    writer.write_all(&preface()).await.unwrap();
    let request = frame(kind::HEADERS, END_STREAM_AND_HEADERS, 1, REQUEST);
    writer.write_all(&request).await.unwrap();
    writer.flush().await.unwrap();

    let kinds = all(reader).await;

    assert!(
        kinds.contains(&kind::HEADERS),
        "it was not served: {kinds:?}"
    );
    assert!(kinds.contains(&kind::PING), "{kinds:?}");
    server.end().await;
}

#[tokio::test]
async fn whoever_asks_nothing_is_cut() {
    let (server, stream) = connect(|config| {
        config.timeouts.first_request = Duration::from_millis(200);
    })
    .await;
    let (reader, mut writer) = tokio::io::split(stream);
    writer.write_all(&preface()).await.unwrap();
    writer.flush().await.unwrap();

    assert!(!all(reader).await.contains(&kind::HEADERS));
    server.end().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_responses_is_cut() {
    let mut config = config(Default::default());
    config.timeouts.write_stall = Duration::from_millis(300);
    let server = Server::start(config).await;
    let (reader, mut writer) = tokio::io::split(server.tcp().await);
    writer.write_all(&preface_with(NO_WINDOW)).await.unwrap();
    for stream in (1..41).step_by(2) {
        let request = frame(kind::HEADERS, END_STREAM_AND_HEADERS, stream, PAGE_REQUEST);
        writer.write_all(&request).await.unwrap();
    }

    let kinds = all(reader).await;

    let answers = kinds.iter().filter(|kind| **kind == kind::HEADERS).count();
    assert_eq!(answers, 20, "{kinds:?}");
    let metrics = get(server.tcp().await, "/metrics").await;
    let unread = r#"authloop_connections_refused_total{reason="unread"} 1"#;
    assert!(metrics.contains(unread), "{metrics}");
    server.end().await;
}

#[tokio::test]
async fn a_connection_by_http2_that_rests_is_closed() {
    let mut config = config(Default::default());
    config.timeouts.headers = Duration::from_millis(200);
    let server = Server::start(config).await;
    let (reader, mut writer) = tokio::io::split(server.tcp().await);
    writer.write_all(&preface()).await.unwrap();
    let request = frame(kind::HEADERS, END_STREAM_AND_HEADERS, 1, REQUEST);
    writer.write_all(&request).await.unwrap();

    let kinds = all(reader).await;

    assert!(kinds.contains(&kind::HEADERS), "{kinds:?}");
    assert!(kinds.contains(&kind::GOAWAY), "{kinds:?}");
    server.end().await;
}
