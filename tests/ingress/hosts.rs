//! DNS rebinding: a web page whose own name leads to the server, which is then asked by that name.

use authloop::config::RawConfig;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{Server, config, rest, text};

/// The status of one request by this name.
async fn status(server: &Server, admin: bool, request: &str, host: &str) -> String {
    let at = if admin {
        server.ready.admin.unwrap()
    } else {
        server.ready.listen
    };
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn no_route_answers_a_request_for_another_name() {
    let alone = Server::start(config(RawConfig::default())).await;
    let apart = Server::start(config(RawConfig {
        admin_listen: text("127.0.0.1:0"),
        ..RawConfig::default()
    }))
    .await;
    let evil = "evil.example:7443";
    for request in [
        "GET /",
        "GET /js/main.js",
        "GET /nowhere",
        "POST /v1/sessions",
        "GET /v1/sessions/AAAAAAAAAAAAAAAAAAAAAA",
        "DELETE /v1/sessions/AAAAAAAAAAAAAAAAAAAAAA",
        "GET /v1/sessions/AAAAAAAAAAAAAAAAAAAAAA/viewer",
    ] {
        assert_eq!(
            status(&alone, false, request, evil).await,
            "421",
            "{request}"
        );
        assert_ne!(
            status(&alone, false, request, "127.0.0.1").await,
            "421",
            "{request}"
        );
    }
    for path in ["/livez", "/readyz", "/metrics", "/audit/head"] {
        let request = format!("GET {path}");
        for (server, admin) in [(&alone, false), (&apart, true)] {
            assert_eq!(status(server, admin, &request, evil).await, "421", "{path}");
            assert_ne!(
                status(server, admin, &request, "localhost").await,
                "421",
                "{path}"
            );
        }
    }
    alone.end().await;
    apart.end().await;
}

#[tokio::test]
async fn the_public_origins_name_and_listed_ones_are_the_servers_own() {
    let server = Server::start(config(RawConfig {
        public_origin: text("http://public.example"),
        viewer_origins: Some(vec!["https://viewer.example".to_owned()]),
        allowed_hosts: Some(vec!["listed.example".to_owned()]),
        ..RawConfig::default()
    }))
    .await;
    for host in ["public.example", "viewer.example", "listed.example:7443"] {
        assert_eq!(
            status(&server, false, "GET /livez", host).await,
            "200",
            "{host}"
        );
    }
    assert_eq!(
        status(&server, false, "GET /livez", "other.example").await,
        "421"
    );
    server.end().await;
}
