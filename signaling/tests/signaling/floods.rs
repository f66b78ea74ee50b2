//! Clients that make the server write more than they read.

use std::time::Duration;

use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, SignalErrorCode},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{TEST_TIMEOUT, TestServer, TestSession};

const RATE_LIMITED: (SignalErrorCode, u16) = (SignalErrorCode::RateLimited, 4429);
/// RFC 6455 section 5.2: final frames of these kinds.
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
/// The longest payload of a control frame (section 5.5).
const PING_BYTES: usize = 125;

#[tokio::test]
async fn pings_count_against_the_rate() {
    let server = TestServer::with(|settings| {
        settings.sockets.message_burst = 10.try_into().unwrap();
        settings.sockets.messages_per_second = 1.try_into().unwrap();
    })
    .await;
    let session = server.session().await;
    let mut host = server.host(&session).await;

    for _ in 0..100 {
        let ping = Message::Ping(Bytes::new());
        if host.try_send_frame(ping).await.is_err() {
            break;
        }
    }

    assert_eq!(host.refused().await, RATE_LIMITED);
}

#[tokio::test]
async fn a_client_that_only_pings_is_cut_before_it_has_said_who_it_is() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut viewer = server.viewer_socket(session.id).await;
    viewer.challenge().await;

    for _ in 0..9 {
        let ping = Message::Ping(Bytes::new());
        if viewer.try_send_frame(ping).await.is_err() {
            break;
        }
    }

    assert_eq!(viewer.refused().await, RATE_LIMITED);
}

#[tokio::test]
async fn pongs_do_not_pile_up_for_a_client_that_does_not_read() {
    const PINGS: usize = 100_000;
    let server = TestServer::with(|settings| {
        settings.sockets.message_burst = 10_000_000.try_into().unwrap();
        settings.sockets.close_timeout = TEST_TIMEOUT;
        settings.sockets.ping_interval = TEST_TIMEOUT * 2;
    })
    .await;
    let session = server.session().await;
    let mut stream = attached_host(&server, &session).await;
    let pings = masked(PING, &[b'a'; PING_BYTES]).repeat(PINGS / 100);

    for _ in 0..100 {
        let written = timeout(Duration::from_secs(60), stream.write_all(&pings)).await;
        written.expect("the server does not read").unwrap();
    }
    // The server's answer is its last word.
    stream.write_all(&masked(TEXT, b"?")).await.unwrap();
    let mut pongs = Vec::new();
    let read = stream.read_to_end(&mut pongs);
    // A reset is an end, too.
    let _ = timeout(Duration::from_secs(60), read).await.unwrap();

    let all = PINGS * (PING_BYTES + 2);
    assert!(pongs.len() < all * 2 / 3, "{} of {all}", pongs.len());
}

/// An attached host by hand, whose kernel takes little of what it does not read.
async fn attached_host(server: &TestServer, session: &TestSession) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let request = format!(
        "GET /v1/sessions/{}/host HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        session.id, server.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let attach = HostMessage::Attach {
        host_token: Blob::from(&session.host_token),
    };
    let attach = serde_json::to_string(&attach).unwrap();
    stream
        .write_all(&masked(TEXT, attach.as_bytes()))
        .await
        .unwrap();
    stream
}

/// A frame under a mask of zeros (section 5.3).
fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
}
