//! A real Chromium and tiny pages for it, for the tests of the crates that follow a browser.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests stop at the first failure")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use authloop_browser::{Follower, View};
use authloop_cdp::{Browser, Launch, LaunchedBrowser, Page};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

/// The longest any single step may take; the machine may be busy.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves fixed pages, the same for every host name.
#[derive(Debug)]
pub struct TestSite {
    port: u16,
}

impl TestSite {
    /// `pages` maps a path to an HTML body; `/locked` asks for a password by HTTP.
    pub async fn serve<const N: usize>(pages: [(&str, &str); N]) -> Self {
        let pages: HashMap<String, String> = pages
            .into_iter()
            .map(|(path, html)| (path.to_owned(), html.to_owned()))
            .collect();
        let pages = Arc::new(pages);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let pages = Arc::clone(&pages);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                        match stream.read_buf(&mut request).await {
                            Ok(n) if n > 0 => {}
                            _ => return,
                        }
                    }
                    let request = String::from_utf8_lossy(&request);
                    let path = request.split(' ').nth(1).unwrap_or("/");
                    let path = path.split('?').next().unwrap_or("/");
                    let (status, body) = match pages.get(path) {
                        Some(body) => ("200 OK", body.as_str()),
                        None if path == "/locked" => (
                            "401 Unauthorized\r\nwww-authenticate: Basic realm=\"staff\"",
                            "locked",
                        ),
                        None => ("404 Not Found", ""),
                    };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\n\
                         content-length: {}\r\nset-cookie: seen=yes; Path=/\r\n\
                         connection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { port }
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The same page under another host, so another origin.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// What the pages' addresses begin with.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A browser showing one page.
#[derive(Debug)]
pub struct TestBrowser {
    /// The process.
    pub launched: LaunchedBrowser,
    /// The connection to it.
    pub browser: Browser,
    /// What follows its page.
    pub follower: Follower,
    /// What the user should see now.
    pub view: watch::Receiver<View>,
}

impl TestBrowser {
    /// Starts a browser at `url` and waits until the page is there.
    pub async fn open(url: &str) -> Self {
        Self::open_with(url, &[]).await
    }

    /// The same, with further arguments for Chromium.
    pub async fn open_with(url: &str, args: &[&str]) -> Self {
        let mut launch = Launch::builder().url(url);
        for arg in args {
            launch = launch.arg(*arg);
        }
        let launched = launch.start().await.unwrap();
        let browser = Browser::connect(launched.cdp_url()).await.unwrap();
        let follower = Follower::start(&browser, None).await.unwrap();
        let view = follower.view();
        let mut stage = Self {
            launched,
            browser,
            follower,
            view,
        };
        if url.starts_with("http") {
            let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
            stage
                .until("the first page", |v| v.origin.origin == origin)
                .await;
            stage.until_true("document.readyState === 'complete'").await;
        }
        stage
    }

    /// The page to show now.
    pub fn page(&self) -> Page {
        self.view.borrow().page.clone()
    }

    /// Waits until the view is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl FnMut(&View) -> bool) -> View {
        let waiting = tokio::time::timeout(STEP_TIMEOUT, self.view.wait_for(wanted));
        let found = waiting.await.ok().and_then(Result::ok).map(|v| v.clone());
        found.unwrap_or_else(|| panic!("never saw {what}: {:?}", self.view.borrow()))
    }

    /// Evaluates an expression in the page.
    pub async fn eval(&self, expression: &str) -> Value {
        eval(&self.page(), expression).await
    }

    /// Waits, inside the page, until an expression is true.
    pub async fn until_true(&self, expression: &str) {
        let waiter = format!(
            "new Promise(done => {{ const look = () => ({expression}) ? done(true) \
             : setTimeout(look, 10); look(); }})"
        );
        let params = json!({ "expression": waiter, "awaitPromise": true, "returnByValue": true });
        let page = self.page();
        let waiting = page.call("Runtime.evaluate", params);
        let answer = tokio::time::timeout(STEP_TIMEOUT, waiting).await;
        match answer {
            Ok(Ok(answer)) if answer["result"]["value"] == true => {}
            other => panic!("never true: {expression}: {other:?}"),
        }
    }
}

/// Evaluates an expression in a page, as if the user had touched it.
pub async fn eval(page: &Page, expression: &str) -> Value {
    let params = json!({
        "expression": expression, "returnByValue": true, "userGesture": true, "awaitPromise": true,
    });
    let answer = page.call("Runtime.evaluate", params).await.unwrap();
    answer["result"]["value"].clone()
}

/// Waits for a future, or fails the test.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took too long"))
}
