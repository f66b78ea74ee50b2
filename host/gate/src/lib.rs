//! Agents reach the browser through the gate, which is closed while the user has the browser.
//!
//! [`Gate::start`] listens, [`Gate::add_browser`] puts one browser behind it, and
//! [`GatedBrowser::close`] and [`Lease::open`] are the two ends of a handoff. What is stopped,
//! and what cannot be, is in `docs/GATE.md`.

#![forbid(unsafe_code)]

mod actor;
mod control;
mod ending;
mod handoff_gate;
mod hosts;
mod http;
mod lease;
mod page_guard;
mod remote;
mod scrub;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use authloop_cdp::{Browser, BrowserError, Launch, Page, PipedBrowser};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Mutex as AsyncMutex};
use tokio_util::sync::CancellationToken;

use actor::GateHandle;
use page_guard::PageGuard;

pub use authloop_gate_core::ClosedMode;

pub use control::ControlSocket;
pub use ending::Ending;
pub use handoff_gate::HandoffGate;
pub use lease::{Lease, LocalLease};
pub use remote::{RemoteGate, RemoteLease};

/// Most browsers behind one gate.
const MAX_BROWSERS: usize = 256;

/// How a gate listens and what it does when it is shut.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Where agents connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What agents get while the gate is closed.
    pub mode: ClosedMode,
    /// Whether to serve the only browser at the bare address as well, without the token in its path:
    /// a client that reaches the port then reaches the browser, as with Chromium's own port.
    /// Puppeteer's `browserURL` needs it, because it drops the path.
    pub token_optional: bool,
    /// Names besides `localhost` and literal addresses that clients may use for this machine.
    pub allowed_hosts: Vec<String>,
}

/// Which browser to put behind the gate.
#[derive(Debug)]
pub enum Upstream {
    /// One that runs, by its CDP address. Its own port stays open beside the gate.
    Address(String),
    /// One to start, without any port of its own.
    Launch(Launch),
}

/// Why the gate could not do something.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The browser could not be reached, started or cleaned.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// Another handoff has the browser.
    #[error("the browser is being handed over already")]
    AlreadyClosed,
    /// The browser has ended.
    #[error("the browser behind the gate is gone")]
    BrowserGone,
    /// No more browsers fit.
    #[error("the gate has {MAX_BROWSERS} browsers, which is all it takes")]
    TooManyBrowsers,
    /// There is no folder for agents' files.
    #[error("no folder for agents' files: {0}")]
    Files(String),
    /// The control socket cannot be made.
    #[error("no control socket at {}: {reason}", path.display())]
    Control {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another process's gate refused or is away.
    #[error("the gate of {}: {reason}", path.display())]
    Remote {
        /// Its control socket.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A listening gate; cheap to clone. Dropping the last clone ends it.
#[derive(Clone)]
pub struct Gate(Arc<GateShared>);

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

struct GateShared {
    config: GateConfig,
    address: SocketAddr,
    browsers: Mutex<HashMap<String, GatedBrowser>>,
    stop: CancellationToken,
}

impl Drop for GateShared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Gate {
    /// Begins to listen. Must be called inside a tokio runtime.
    pub async fn start(config: GateConfig) -> Result<Self, GateError> {
        let failed = |error: std::io::Error| GateError::Listen {
            address: config.listen,
            reason: error.to_string(),
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let gate = Self(Arc::new(GateShared {
            config,
            address,
            browsers: Mutex::default(),
            stop: stop.clone(),
        }));
        http::serve(listener, Arc::downgrade(&gate.0), stop);
        Ok(gate)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Puts a browser behind the gate.
    pub async fn add_browser(&self, upstream: Upstream) -> Result<GatedBrowser, GateError> {
        let (process, upstream, transport) = match upstream {
            Upstream::Address(address) => {
                let transport = Browser::open_transport(&address).await?;
                (None, Some(address), transport)
            }
            Upstream::Launch(launch) => {
                let (process, transport) = launch.start_piped()?;
                (Some(process), None, transport)
            }
        };
        let files = tempfile::Builder::new()
            .prefix("authloop-files-")
            .tempdir()
            .map_err(|error| GateError::Files(error.to_string()))?;
        let handle = GateHandle::start(transport, self.0.config.mode, files.path());
        let browser = Browser::from_transport(handle.ungated_transport().await?).await?;
        let gated = GatedBrowser(Arc::new(GatedBrowserShared {
            token: random_token(),
            id: random_token(),
            address: self.0.address,
            handle,
            files,
            browser,
            process,
            upstream,
            closed: AtomicBool::new(false),
            closure: AsyncMutex::default(),
            protocol: tokio::sync::OnceCell::new(),
        }));
        let mut browsers = self.0.browsers.lock();
        browsers.retain(|_, browser| !browser.is_gone());
        if browsers.len() >= MAX_BROWSERS {
            return Err(GateError::TooManyBrowsers);
        }
        browsers.insert(gated.0.token.clone(), gated.clone());
        Ok(gated)
    }

    /// Takes a browser away; its clients are disconnected, and one that was launched is ended once
    /// its last handle is dropped.
    pub fn remove(&self, browser: &GatedBrowser) {
        self.0.browsers.lock().remove(&browser.0.token);
    }

    /// The browser at an address that this gate gave out, in any of its forms.
    pub fn find(&self, cdp_url: &str) -> Option<GatedBrowser> {
        let url = url::Url::parse(cdp_url.trim()).ok()?;
        let ours = url.port_or_known_default() == Some(self.0.address.port())
            && hosts::is_local(url.host_str()?, &self.0.config.allowed_hosts);
        let first = url.path().split('/').nth(1).unwrap_or_default();
        ours.then(|| self.browser_at(first)).flatten()
    }

    /// Finds the browser of a path's first segment; the only one for the bare address, if that is allowed.
    fn browser_at(&self, first: &str) -> Option<GatedBrowser> {
        let browsers = self.0.browsers.lock();
        let without_token = || {
            let mut all = browsers.values();
            let only = all.next().filter(|_| self.0.config.token_optional);
            only.filter(|_| all.next().is_none())
        };
        let reserved = matches!(first, "" | "json" | "devtools" | "control");
        match browsers.get(first) {
            None if reserved => without_token().cloned(),
            found => found.cloned(),
        }
    }
}

/// A browser behind the gate; cheap to clone.
#[derive(Clone)]
pub struct GatedBrowser(Arc<GatedBrowserShared>);

struct GatedBrowserShared {
    /// In the agents' address.
    token: String,
    /// The browser socket's name.
    id: String,
    address: SocketAddr,
    handle: GateHandle,
    /// Where agents may have the browser read and write files; removed with the browser.
    files: TempDir,
    browser: Browser,
    process: Option<PipedBrowser>,
    /// The address of a browser that was there already.
    upstream: Option<String>,
    closed: AtomicBool,
    /// What is there while the gate is closed; locked during a change.
    closure: AsyncMutex<Closure>,
    /// The protocol's description, once asked for.
    protocol: tokio::sync::OnceCell<String>,
}

/// What the host has set up in the browser while the gate is closed.
#[derive(Default)]
struct Closure {
    guard: Option<PageGuard>,
    /// Sessions that preserve agents' settings.
    preserving_pages: Vec<Page>,
}

impl GatedBrowser {
    /// The address for agents: `http://host:port/token`, as Playwright's `connectOverCDP` takes it.
    pub fn cdp_url(&self) -> String {
        format!("http://{}/{}", self.0.address, self.0.token)
    }

    /// The browser's socket for agents, as Puppeteer's `browserWSEndpoint` takes it.
    pub fn ws_url(&self) -> String {
        let GatedBrowserShared {
            address, token, id, ..
        } = &*self.0;
        format!("ws://{address}/{token}/devtools/browser/{id}")
    }

    /// Lets other processes of this user close the gate, by a Unix socket at `path`. Must be called
    /// inside a tokio runtime.
    pub fn listen_control(&self, path: &Path) -> Result<ControlSocket, GateError> {
        control::listen(self.clone(), path)
    }

    /// The browser itself, past the gate: for the host alone.
    pub fn browser(&self) -> Browser {
        self.0.browser.clone()
    }

    /// The process id of a browser that was launched.
    pub fn pid(&self) -> Option<u32> {
        self.0.process.as_ref().and_then(PipedBrowser::pid)
    }

    /// Where agents may have the browser save downloads, and take files from for a page.
    pub fn files_folder(&self) -> &Path {
        self.0.files.path()
    }

    /// What agents get from the next closing on, instead of what the gate's configuration says.
    pub async fn set_mode(&self, mode: ClosedMode) -> Result<(), GateError> {
        self.0.handle.set_mode(mode).await
    }

    /// Shuts agents out in favour of `handoff`, for as long as the lease lives, and gives every page a
    /// new document. Returns once no script of an agent's is left in a page.
    ///
    /// # Errors
    /// [`GateError::AlreadyClosed`] if it is closed already: what one handoff opens, another may still need
    /// closed. After any other error the gate opens again by itself.
    pub async fn close(&self, handoff: &str) -> Result<Lease, GateError> {
        let mut locked = self.0.closure.lock().await;
        let closure = &mut *locked;
        if self.0.closed.swap(true, Ordering::SeqCst) {
            return Err(GateError::AlreadyClosed);
        }
        let lease = Lease::Local(LocalLease::new(self.clone()));
        // Before agents are gone, so that nothing of theirs comes unseen.
        let guard = closure.guard.insert(self.guard().await?);
        let browser = &self.0.browser;
        let preserved = self.0.handle.close(handoff).await?;
        closure.preserving_pages = scrub::preserve_settings(browser, preserved).await;
        scrub::close_own_pages(browser).await?;
        scrub::renew_pages(browser, guard).await?;
        Ok(lease)
    }

    /// Clears what the user left behind and lets agents go on. If the browser cannot be cleared,
    /// the gate stays closed. Runs to completion even if the caller is dropped: a half-open gate is worse
    /// than a closed one.
    async fn open(&self, ending: Ending) -> Result<(), GateError> {
        let browser = self.clone();
        let opening = tokio::spawn(async move {
            let mut closure = browser.0.closure.lock().await;
            if !browser.is_closed() {
                return Ok(());
            }
            if closure.guard.is_none() {
                // The closing has failed before there was one.
                closure.guard = Some(browser.guard().await?);
            }
            if let Some(guard) = &closure.guard {
                scrub::clear(&browser.0.browser, guard, ending == Ending::ByUser).await?;
            }
            let ended = std::mem::take(&mut *closure);
            scrub::end_preserving(ended.preserving_pages).await;
            drop(ended.guard);
            browser.0.handle.open().await?;
            browser.0.closed.store(false, Ordering::SeqCst);
            Ok(())
        });
        opening.await.unwrap_or(Err(GateError::BrowserGone))
    }

    async fn guard(&self) -> Result<PageGuard, GateError> {
        let connection = Browser::from_transport(self.0.handle.ungated_transport().await?).await?;
        Ok(PageGuard::start(connection).await?)
    }

    /// Whether agents are shut out.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// The address of a browser that was there already.
    pub fn upstream(&self) -> Option<&str> {
        self.0.upstream.as_deref()
    }

    /// Waits until the browser is gone.
    pub async fn ended(&self) {
        self.0.handle.ended().await;
    }

    /// Whether the browser is gone.
    pub fn is_gone(&self) -> bool {
        self.0.handle.is_gone()
    }
}

impl std::fmt::Debug for GatedBrowser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatedBrowser")
            .field("address", &self.0.address)
            .finish_non_exhaustive()
    }
}

/// 144 bits, safe in a path.
fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>())
}
