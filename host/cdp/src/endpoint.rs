//! From any CDP address to an open socket.

use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    self, Error as WsError, client::IntoClientRequest, handshake::client::Request as ClientRequest,
    protocol::WebSocketConfig,
};
use url::Url;

use super::{error::BrowserError, ids::TargetId, transport::TcpWebSocket};

/// How long an address may take to answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A full-page screenshot fits; an endless message does not.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Chromium's `/json/version` has some 400 bytes, its `/json/protocol` less than 2 MiB.
const MAX_VERSION_BYTES: usize = 64 << 10;
const MAX_PROTOCOL_BYTES: usize = 16 << 20;

/// What an address must look like.
const EXPECTED_ADDRESS: &str = "expected http://host:port, as of a browser started with \
    --remote-debugging-port, or ws://host:port/devtools/browser/<id>";

/// What a socket speaks for.
pub(super) enum CdpSocket {
    /// The whole browser, and the page the address named, if it named one.
    Browser(TcpWebSocket, Option<TargetId>),
    /// One page only: the address gives no way to its browser.
    Page(TcpWebSocket, TargetId),
}

/// Opens `http(s)://host:port`, `ws(s)://…/devtools/browser/…` or `ws(s)://…/devtools/page/…`.
pub(super) async fn open(address: &str) -> Result<CdpSocket, BrowserError> {
    let url = Url::parse(address.trim()).map_err(|e| BrowserError::BadUrl(explain(&e)))?;
    match url.scheme() {
        // `localhost:9222` parses as a scheme and a path.
        _ if url.host_str().is_none() => Err(BrowserError::BadUrl(format!(
            "it names no host; {EXPECTED_ADDRESS}"
        ))),
        "http" | "https" => {
            let socket = discover(&url).await?;
            Ok(CdpSocket::Browser(dial(&socket).await?, None))
        }
        "ws" | "wss" => match page_of(&url) {
            Some(page) => open_by_page(&url, page).await,
            None => Ok(CdpSocket::Browser(dial(&url).await?, None)),
        },
        other => Err(BrowserError::BadUrl(format!(
            "the scheme is {other}, but {EXPECTED_ADDRESS}"
        ))),
    }
}

/// What is wrong with an address that is no URL, without repeating it.
fn explain(error: &url::ParseError) -> String {
    match error {
        url::ParseError::RelativeUrlWithoutBase => {
            format!("it does not begin with a scheme such as http://; {EXPECTED_ADDRESS}")
        }
        other => format!("{other}; {EXPECTED_ADDRESS}"),
    }
}

/// Prefers the page's browser, which also sees popups and the true origin.
async fn open_by_page(url: &Url, page: TargetId) -> Result<CdpSocket, BrowserError> {
    let mut http = url.clone();
    let scheme = if url.scheme() == "ws" {
        "http"
    } else {
        "https"
    };
    if http.set_scheme(scheme).is_ok()
        && let Ok(socket) = discover(&http).await
        && let Ok(socket) = dial(&socket).await
    {
        return Ok(CdpSocket::Browser(socket, Some(page)));
    }
    Ok(CdpSocket::Page(dial(url).await?, page))
}

fn page_of(url: &Url) -> Option<TargetId> {
    let (_, id) = url.path().split_once("/devtools/page/")?;
    (!id.is_empty() && !id.contains('/')).then(|| TargetId::from(id))
}

/// Asks `/json/version` for the browser's socket.
async fn discover(url: &Url) -> Result<Url, BrowserError> {
    let host = host_of(url);
    let version = page_url(url, "/json/version");
    let answer = client()?.get(version).send().await;
    let answer = answer.map_err(|e| BrowserError::Unreachable {
        host: host.clone(),
        reason: root_cause(&e.without_url()),
    })?;
    let not_a_browser = |reason: &str| BrowserError::NotABrowser {
        host: host.clone(),
        reason: reason.to_owned(),
    };
    if !answer.status().is_success() {
        return Err(not_a_browser(&format!(
            "/json/version answered {}",
            answer.status()
        )));
    }
    let version = body_of(answer, MAX_VERSION_BYTES)
        .await
        .map_err(|_| not_a_browser("/json/version is too long or breaks off"))?;
    let version: Value =
        serde_json::from_slice(&version).map_err(|_| not_a_browser("/json/version is not JSON"))?;
    let socket = version["webSocketDebuggerUrl"]
        .as_str()
        .and_then(|socket| Url::parse(socket).ok())
        .ok_or_else(|| not_a_browser("/json/version names no webSocketDebuggerUrl"))?;
    Ok(rebase(socket, url))
}

/// Asks `/json/protocol` for the protocol's description.
pub(super) async fn protocol(address: &str) -> Result<String, BrowserError> {
    let url = Url::parse(address.trim()).map_err(|e| BrowserError::BadUrl(explain(&e)))?;
    let scheme = match url.scheme() {
        "ws" | "http" => "http",
        _ => "https",
    };
    let mut url = page_url(&url, "/json/protocol");
    let _same_kind = url.set_scheme(scheme);
    let client = client()?;
    let unreachable = |reason: String| BrowserError::Unreachable {
        host: host_of(&url),
        reason,
    };
    let failed = |error: reqwest::Error| unreachable(root_cause(&error.without_url()));
    let answer = client.get(url.clone()).send().await.map_err(failed)?;
    let answer = answer.error_for_status().map_err(failed)?;
    let body = body_of(answer, MAX_PROTOCOL_BYTES).await;
    String::from_utf8(body.map_err(unreachable)?).map_err(|e| unreachable(e.to_string()))
}

/// Reads an answer, but not one without an end: whoever names an address chooses what answers there.
async fn body_of(mut answer: reqwest::Response, max_bytes: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => body.extend(chunk),
            Ok(Some(_)) => return Err(format!("the answer is longer than {max_bytes} bytes")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(root_cause(&error.without_url())),
        }
    }
}

/// The address of one of the browser's own pages.
///
/// Services put an access token into the path, and so does our gate; it is kept.
fn page_url(url: &Url, page: &str) -> Url {
    let path = url.path();
    let base = path.split_once("/devtools/").map_or(path, |(base, _)| base);
    let mut found = url.clone();
    found.set_path(&format!("{}{page}", base.trim_end_matches('/')));
    found
}

fn client() -> Result<reqwest::Client, BrowserError> {
    // The workspace links one provider; whoever is first installs it.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(OPEN_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // A debugging port is never behind the machine's web proxy.
        .no_proxy()
        .build()
        .map_err(|e| BrowserError::BadUrl(e.to_string()))
}

/// Chromium names the socket as it sees itself; behind a port mapping only the caller's host works.
fn rebase(mut socket: Url, asked: &Url) -> Url {
    let scheme = if asked.scheme() == "https" {
        "wss"
    } else {
        "ws"
    };
    let moved = socket.set_scheme(scheme).is_ok()
        && socket.set_host(asked.host_str()).is_ok()
        && socket.set_port(asked.port()).is_ok();
    if moved && socket.query().is_none() {
        socket.set_query(asked.query());
    }
    socket
}

async fn dial(url: &Url) -> Result<TcpWebSocket, BrowserError> {
    let request = url.as_str().into_client_request();
    let request = request.map_err(|e| BrowserError::BadUrl(e.to_string()))?;
    dial_with(request, host_of(url)).await
}

async fn dial_with(request: ClientRequest, host: String) -> Result<TcpWebSocket, BrowserError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let dialing = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    let unreachable = |reason: String| BrowserError::Unreachable {
        host: host.clone(),
        reason,
    };
    match tokio::time::timeout(OPEN_TIMEOUT, dialing).await {
        Err(_) => Err(unreachable("no answer in time".to_owned())),
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Io(e))) => Err(unreachable(e.to_string())),
        Ok(Err(WsError::Http(answer))) => Err(BrowserError::NotABrowser {
            host,
            reason: format!("the WebSocket was refused with {}", answer.status()),
        }),
        Ok(Err(WsError::Url(e))) => Err(BrowserError::BadUrl(e.to_string())),
        Ok(Err(e @ tungstenite::Error::Tls(_))) => Err(unreachable(e.to_string())),
        Ok(Err(e)) => Err(BrowserError::NotABrowser {
            host,
            reason: e.to_string(),
        }),
    }
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_reached_the_way_the_caller_came() {
        let socket = Url::parse("ws://127.0.0.1:9222/devtools/browser/x").unwrap();
        let asked = Url::parse("https://cdp.example/?token=t").unwrap();
        let url = rebase(socket, &asked);
        assert_eq!(url.as_str(), "wss://cdp.example/devtools/browser/x?token=t");
    }

    #[test]
    fn page_addresses_are_told_from_browser_addresses() {
        let page = Url::parse("ws://h:1/devtools/page/AB").unwrap();
        let browser = Url::parse("ws://h:1/devtools/browser/AB").unwrap();
        let behind = Url::parse("ws://h:1/token/devtools/page/AB").unwrap();
        assert_eq!(page_of(&page), Some(TargetId::from("AB")));
        assert_eq!(page_of(&behind), Some(TargetId::from("AB")));
        assert_eq!(page_of(&browser), None);
    }

    #[tokio::test]
    async fn a_wrong_address_is_explained() {
        for (bad, why) in [
            ("chrome please", "does not begin with a scheme"),
            ("localhost:9222", "names no host"),
            ("http://", "empty host"),
            ("ftp://h/", "the scheme is ftp"),
        ] {
            let error = open(bad).await.err().unwrap().to_string();
            assert!(error.contains(why), "{bad}: {error}");
            assert!(error.contains("http://host:port"), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn an_address_with_a_token_is_not_echoed() {
        for bad in [
            "ftp://h/?token=SECRET",
            "nonsense SECRET",
            "ws://127.0.0.1:1/?k=SECRET",
        ] {
            let error = open(bad).await.err().unwrap().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_to_its_end() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 4096]).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
        });

        let error = open(&address).await.err().unwrap().to_string();

        assert!(error.contains("too long"), "{error}");
    }
}
