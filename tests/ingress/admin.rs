//! `--admin-listen`: what operators ask for, and the public does not get.

use authloop::config::RawConfig;
use tokio::net::TcpStream;

use crate::support::{Server, config, get, text};

const ROUTES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

async fn status(server: &Server, admin: bool, path: &str) -> String {
    let at = if admin {
        server.ready.admin.unwrap()
    } else {
        server.ready.listen
    };
    let answer = get(TcpStream::connect(at).await.unwrap(), path).await;
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn operators_have_a_port_of_their_own_and_the_public_one_tells_nothing() {
    let server = Server::start(config(RawConfig {
        admin_listen: text("127.0.0.1:0"),
        ..RawConfig::default()
    }))
    .await;

    for path in ROUTES {
        assert_eq!(status(&server, true, path).await, "200", "{path}");
        assert_eq!(status(&server, false, path).await, "404", "{path}");
    }
    assert_eq!(status(&server, true, "/audit/head").await, "401");
    assert_eq!(status(&server, false, "/audit/head").await, "404");
    assert_eq!(status(&server, false, "/").await, "200");
    assert_eq!(
        status(&server, true, "/").await,
        "404",
        "no page, no sessions"
    );
    assert_eq!(status(&server, true, "/v1/sessions").await, "404");
    server.end().await;
}

#[tokio::test]
async fn without_it_they_are_on_the_public_port() {
    let server = Server::start(config(RawConfig::default())).await;
    for path in ROUTES {
        assert_eq!(status(&server, false, path).await, "200", "{path}");
    }
    assert_eq!(server.ready.admin, None);
    server.end().await;
}
