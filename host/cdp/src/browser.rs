//! A connection to a browser, and what it says of its pages.

use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    connection::{Connection, EventScope, EventStream},
    endpoint::{self, CdpSocket},
    error::BrowserError,
    ids::{CdpSessionId, TargetId},
    page::Page,
    transport::Transport,
};

/// What the browser says about one of its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    /// The target's id.
    pub id: TargetId,
    /// The page's address, as the browser process has it.
    pub url: String,
    /// The page's title.
    pub title: String,
    /// The page that opened this one.
    pub opener: Option<TargetId>,
    /// The browser context (profile) it lives in.
    pub context: Option<String>,
}

/// The wire form of a target; only pages become [`TargetInfo`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetInfoJson {
    target_id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    subtype: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    url: String,
    opener_id: Option<String>,
    browser_context_id: Option<String>,
}

impl TargetInfo {
    /// Reads a CDP `TargetInfo` if it is a page a user could look at.
    pub fn from_cdp(info: &Value) -> Option<Self> {
        let raw = TargetInfoJson::deserialize(info).ok()?;
        // A prerendered page is a page nobody sees yet; DevTools windows show other pages.
        let hidden = raw.subtype.is_some_and(|s| !s.is_empty()) || raw.url.starts_with("devtools:");
        (raw.kind == "page" && !hidden).then(|| Self {
            id: TargetId::from(raw.target_id.as_str()),
            url: raw.url,
            title: raw.title,
            opener: raw.opener_id.as_deref().map(TargetId::from),
            context: raw.browser_context_id,
        })
    }
}

/// A connection to a browser; cheap to clone.
#[derive(Clone)]
pub struct Browser(Arc<Inner>);

struct Inner {
    connection: Connection,
    /// The page the address named.
    named: Option<TargetId>,
    /// The socket is that page's own; there is no browser to ask.
    one_page: bool,
    attached: Mutex<HashMap<TargetId, Page>>,
}

impl Browser {
    /// Connects to `http(s)://host:port`, `ws(s)://…/devtools/browser/…` or
    /// `ws(s)://…/devtools/page/…`. Must be called inside a tokio runtime.
    pub async fn connect(address: &str) -> Result<Self, BrowserError> {
        let (socket, named, one_page) = match endpoint::open(address).await? {
            CdpSocket::Browser(socket, named) => (socket, named, false),
            CdpSocket::Page(socket, page) => (socket, Some(page), true),
        };
        Self::start(Transport::socket(socket), named, one_page).await
    }

    /// Speaks to a browser over a transport that is open already.
    pub async fn from_transport(transport: Transport) -> Result<Self, BrowserError> {
        Self::start(transport, None, false).await
    }

    async fn start(
        transport: Transport,
        named: Option<TargetId>,
        one_page: bool,
    ) -> Result<Self, BrowserError> {
        let browser = Self(Arc::new(Inner {
            connection: Connection::start(transport),
            named,
            one_page,
            attached: Mutex::default(),
        }));
        browser.check_speaks_cdp().await?;
        Ok(browser)
    }

    /// The protocol's description, as the browser at `address` gives it.
    pub async fn protocol(address: &str) -> Result<String, BrowserError> {
        endpoint::protocol(address).await
    }

    /// A transport to the browser at `address`, for whom [`Browser::from_transport`] will not do.
    pub async fn open_transport(address: &str) -> Result<Transport, BrowserError> {
        match endpoint::open(address).await? {
            CdpSocket::Browser(socket, _) => Ok(Transport::socket(socket)),
            CdpSocket::Page(..) => Err(BrowserError::BadUrl(
                "it is one page's, and a gate needs the whole browser".to_owned(),
            )),
        }
    }

    /// Proves that the other side speaks CDP before anyone relies on it.
    async fn check_speaks_cdp(&self) -> Result<(), BrowserError> {
        let method = if self.0.one_page {
            "Page.enable"
        } else {
            "Target.getTargets"
        };
        let greeting = self.call(method, json!({})).await;
        greeting.map(drop).map_err(|e| match e {
            BrowserError::Timeout(_) | BrowserError::Cdp { .. } => BrowserError::NotABrowser {
                host: "the WebSocket".to_owned(),
                reason: e.to_string(),
            },
            other => other,
        })
    }

    /// The open pages, newest first, as the browser lists them.
    pub async fn pages(&self) -> Result<Vec<TargetInfo>, BrowserError> {
        if self.0.one_page {
            let answer = self.call("Target.getTargetInfo", json!({})).await?;
            return Ok(TargetInfo::from_cdp(&answer["targetInfo"])
                .into_iter()
                .collect());
        }
        let answer = self.call("Target.getTargets", json!({})).await?;
        let targets = answer["targetInfos"].as_array();
        let targets =
            targets.ok_or_else(|| BrowserError::Unexpected("Target.getTargets".into()))?;
        Ok(targets.iter().filter_map(TargetInfo::from_cdp).collect())
    }

    /// The page to show first: the one the address named, else a web page, else any page.
    pub async fn default_page(&self) -> Result<TargetInfo, BrowserError> {
        let pages = self.pages().await?;
        if let Some(named) = &self.0.named {
            let page = pages.into_iter().find(|page| page.id == *named);
            return page.ok_or_else(|| BrowserError::NoSuchPage(named.to_string()));
        }
        let web = pages.iter().find(|page| page.url.starts_with("http"));
        web.or(pages.first()).cloned().ok_or(BrowserError::NoPage)
    }

    /// Attaches to a page; attaching twice gives the same [`Page`].
    pub async fn attach(&self, target: &TargetId) -> Result<Page, BrowserError> {
        let mut attached = self.0.attached.lock().await;
        if let Some(page) = attached.get(target) {
            return Ok(page.clone());
        }
        let page = if self.0.one_page {
            if self.0.named.as_ref() != Some(target) {
                return Err(BrowserError::NoSuchPage(target.to_string()));
            }
            Page::new(self.0.connection.clone(), target.clone(), None)
        } else {
            let session = self.attach_session(target).await?;
            Page::new(self.0.connection.clone(), target.clone(), Some(session))
        };
        page.call("Page.enable", json!({})).await?;
        attached.insert(target.clone(), page.clone());
        Ok(page)
    }

    async fn attach_session(&self, target: &TargetId) -> Result<CdpSessionId, BrowserError> {
        let params = json!({ "targetId": target.as_str(), "flatten": true });
        let answer = self.call("Target.attachToTarget", params).await;
        let answer = answer.map_err(|e| match e {
            BrowserError::Cdp { .. } => BrowserError::NoSuchPage(target.to_string()),
            other => other,
        })?;
        let session = answer["sessionId"].as_str().map(CdpSessionId::from);
        session.ok_or_else(|| BrowserError::Unexpected("Target.attachToTarget".into()))
    }

    /// A session of its own with a target of any type, not shared and not set up; end it by
    /// [`Page::detach`].
    pub async fn session(&self, target: &TargetId) -> Result<Page, BrowserError> {
        let session = self.attach_session(target).await?;
        Ok(Page::new(
            self.0.connection.clone(),
            target.clone(),
            Some(session),
        ))
    }

    /// The target of a session that auto-attachment has made.
    pub fn auto_attached(&self, target: TargetId, session: CdpSessionId) -> Page {
        Page::new(self.0.connection.clone(), target, Some(session))
    }

    /// Sends a command to the browser itself and waits for its answer, at most 20 s.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.0.connection.call(None, method, params).await
    }

    /// Waits until the connection has ended, and says why.
    pub async fn ended(&self) -> BrowserError {
        self.0.connection.ended().await
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.0.connection.error().is_some()
    }

    /// Subscribes to events of every session by exact method name.
    pub fn subscribe_all(&self, methods: &[&str], capacity: usize) -> EventStream {
        self.0
            .connection
            .subscribe(EventScope::All, methods, capacity)
    }

    /// The connection that all pages share.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// Whether the connection is one page's own, so that there is no browser to ask.
    pub fn is_one_page(&self) -> bool {
        self.0.one_page
    }

    /// Drops what is remembered of a page that is closed.
    pub async fn forget(&self, target: &TargetId) {
        self.0.attached.lock().await.remove(target);
    }
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser")
            .field("named", &self.0.named)
            .finish_non_exhaustive()
    }
}
