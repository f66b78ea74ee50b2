//! `verify` of a server behind a proxy that changes what passes it.

use std::sync::{Arc, Mutex};

use authloop::{
    config::RawConfig,
    finding::FindingStatus,
    verify_page::{VerifyPageArgs, verify_page},
};
use axum::{Router, body::Body, extract::Request, http::Response};
use tokio::net::TcpListener;

use crate::support::{Server, config, text};

/// What the proxy does to each answer, by its path.
type Change = Box<dyn Fn(&str, &mut Response<Body>) + Send>;

#[tokio::test]
async fn a_proxy_that_adds_a_header_or_its_own_logo_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let logo = tempfile::Builder::new().suffix(".svg").tempfile().unwrap();
    std::fs::write(&logo, r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#).unwrap();
    let server = Server::start(config(RawConfig {
        public_origin: text(&url),
        brand_logo: text(logo.path().to_str().unwrap()),
        ..RawConfig::default()
    }))
    .await;
    let change: Arc<Mutex<Change>> = Arc::new(Mutex::new(Box::new(|_, _| {})));
    tokio::spawn(serve_proxy(listener, &server, change.clone()));
    let args = VerifyPageArgs {
        url,
        page: None,
        ca_file: None,
    };
    let flaws = async |with: Change| {
        *change.lock().unwrap() = with;
        let findings = verify_page(&args).await.unwrap();
        let bad = findings
            .into_iter()
            .filter(|finding| finding.status == FindingStatus::Bad);
        bad.map(|finding| finding.text).collect::<Vec<_>>()
    };

    assert_eq!(flaws(Box::new(|_, _| {})).await, Vec::<String>::new());
    let refresh: Change = Box::new(|path, answer| {
        if path == "/" {
            let away = "5; url=https://evil.example/".parse().unwrap();
            answer.headers_mut().insert("refresh", away);
        }
    });
    let bare: Change = Box::new(|_, answer| {
        answer.headers_mut().remove("referrer-policy");
    });
    let scripted: Change = Box::new(|path, answer| {
        if path == "/brand/logo.svg" {
            answer.headers_mut().remove("content-length");
            *answer.body_mut() = Body::from("<svg><script>1</script></svg>");
        }
    });
    for (change, flaw) in [
        (refresh, "index.html: `refresh` is"),
        (bare, "`referrer-policy` is missing"),
        (scripted, "brand/logo.svg must be a plain picture"),
    ] {
        let found = flaws(change).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(flaw), "{found:?}");
    }
    server.end().await;
}

fn serve_proxy(
    listener: TcpListener,
    server: &Server,
    change: Arc<Mutex<Change>>,
) -> impl Future<Output = ()> + use<> {
    // Whoever is first installs it; the library wants one even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (http, behind) = (reqwest::Client::new(), server.ready.listen);
    let proxy = Router::new().fallback(async move |request: Request| {
        let path = request.uri().path().to_owned();
        let served = http.get(format!("http://{behind}{path}")).send().await;
        let served = served.unwrap();
        let (status, headers) = (served.status(), served.headers().clone());
        let mut answer = Response::new(Body::from(served.bytes().await.unwrap()));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        change.lock().unwrap()(&path, &mut answer);
        answer
    });
    async move { axum::serve(listener, proxy).await.unwrap() }
}
