//! HTTPS by a certificate that the server makes.

use crate::support::Server;

#[tokio::test]
async fn a_self_signed_certificate_serves_a_local_network() {
    let server = Server::start(&["--tls", "self-signed"]).await;
    assert!(
        server.url.starts_with("https://127.0.0.1:"),
        "{}",
        server.url
    );
    let page = server.get("/").await;
    assert_eq!(page.status(), 200);
    assert!(page.headers().contains_key("strict-transport-security"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("connect-src 'self' wss://127.0.0.1:"),
        "{policy}"
    );
}
