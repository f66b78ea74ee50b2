//! Limits of connections at the HTTP port, and clients that want them all.

use authloop::config::RawConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::support::{Server, config, get, rest, text, wait_for};

/// A connection from another address of this machine.
async fn neighbour(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(server.ready.listen).await.unwrap()
}

async fn is_let_in(stream: TcpStream) -> bool {
    let (mut reader, mut writer) = stream.into_split();
    let request = b"GET /livez HTTP/1.1\r\nhost: relay.example\r\nconnection: close\r\n\r\n";
    // Whoever is refused may find the connection closed already.
    let _ = writer.write_all(request).await;
    let mut answer = Vec::new();
    let _ = reader.read_to_end(&mut answer).await;
    answer.starts_with(b"HTTP/1.1 200")
}

async fn with(options: RawConfig) -> Server {
    Server::start(config(options)).await
}

/// A WebSocket, which is no HTTP connection any more.
async fn web_socket(server: &Server) -> TcpStream {
    let mut stream = server.tcp().await;
    let request = "GET /v1/sessions/AAAAAAAAAAAAAAAAAAAAAA/host HTTP/1.1\r\nhost: relay.example\r\n\
                   connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let server = with(RawConfig {
        max_connections_per_address: text("2"),
        ..RawConfig::default()
    })
    .await;
    let upgraded = web_socket(&server).await;
    let silent = server.tcp().await;

    assert_eq!(rest(server.tcp().await).await, "", "it has its share");
    let metrics = get(neighbour(&server).await, "/metrics").await;
    for line in [
        r#"authloop_connections_refused_total{reason="address"} 1"#,
        "authloop_connections_open 3",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }

    drop(silent);
    wait_for(async || is_let_in(server.tcp().await).await.then_some(())).await;
    drop(upgraded);
    server.end().await;
}

#[tokio::test]
async fn all_addresses_together_are_bounded() {
    let server = with(RawConfig {
        max_connections: text("2"),
        ..RawConfig::default()
    })
    .await;
    let held = [server.tcp().await, neighbour(&server).await];

    assert_eq!(rest(neighbour(&server).await).await, "");

    drop(held);
    wait_for(async || is_let_in(neighbour(&server).await).await.then_some(())).await;
    server.end().await;
}

#[tokio::test]
async fn a_trusted_proxy_stands_for_many() {
    let server = with(RawConfig {
        max_connections_per_address: text("1"),
        trusted_proxies: Some(vec!["127.0.0.0/24".to_owned()]),
        ..RawConfig::default()
    })
    .await;
    let _held = [server.tcp().await, server.tcp().await];

    assert!(is_let_in(server.tcp().await).await);
    server.end().await;
}
