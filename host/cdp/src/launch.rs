//! Starts a Chromium of our own.

mod piped;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::error::BrowserError;

pub use piped::PipedBrowser;

/// A cold start on a loaded two-core machine takes seconds, not tens of seconds.
const START_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a killed browser may take to be gone before its profile is removed anyway.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

const CHROMIUM_PATHS: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/opt/google/chrome/chrome",
];

/// Quiet and self-contained: nothing phones home and nothing asks.
const QUIET_FLAGS: [&str; 7] = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Chromium does not start as root with its sandbox.
const NO_SANDBOX_FLAG: &str = "--no-sandbox";

/// How to start a browser.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: Option<PathBuf>,
    headless: bool,
    sandbox: bool,
    url: String,
    args: Vec<String>,
}

impl Launch {
    /// A headless Chromium from its usual place, at `about:blank`.
    pub fn builder() -> Self {
        Self {
            binary: None,
            headless: true,
            sandbox: true,
            url: "about:blank".to_owned(),
            args: Vec::new(),
        }
    }

    /// Uses this binary instead of looking in the usual places.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Whether to run without a window; true unless told.
    pub fn headless(mut self, headless: bool) -> Self {
        self.headless = headless;
        self
    }

    /// Whether Chromium confines its pages; true unless told, but never for root, as whom it would not start.
    pub fn sandbox(mut self, sandbox: bool) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// The first page.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Adds one command-line argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts the browser with a new profile and waits until its debugging port is open.
    pub async fn start(self) -> Result<LaunchedBrowser, BrowserError> {
        let binary = self.find_binary()?;
        let profile = new_profile()?;
        let mut command = Command::new(&binary);
        command
            .arg("--remote-debugging-port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = self.spawn(command, &binary, profile.path())?;
        let mut launched = LaunchedBrowser {
            child,
            profile: Some(profile),
            cdp_url: String::new(),
        };
        launched.cdp_url = launched.wait_for_port().await?;
        Ok(launched)
    }

    /// Looks for the program.
    ///
    /// # Errors
    /// [`BrowserError::Launch`] if there is none.
    pub fn check(&self) -> Result<(), BrowserError> {
        let binary = self.find_binary()?;
        if binary.exists() {
            return Ok(());
        }
        let missing = format!("there is no {}", binary.display());
        Err(BrowserError::Launch(missing))
    }

    fn find_binary(&self) -> Result<PathBuf, BrowserError> {
        let binary = self.binary.clone().or_else(find_chromium);
        binary.ok_or_else(|| {
            BrowserError::Launch(format!(
                "no Chromium at any of {}",
                CHROMIUM_PATHS.join(", ")
            ))
        })
    }

    fn spawn(
        self,
        mut command: Command,
        binary: &Path,
        profile: &Path,
    ) -> Result<Child, BrowserError> {
        command.args(QUIET_FLAGS);
        if is_root() {
            tracing::warn!("running as root: Chromium is started without its sandbox");
        }
        if !self.sandbox || is_root() {
            command.arg(NO_SANDBOX_FLAG);
        }
        if self.headless {
            command.arg("--headless=new");
        }
        command
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(&self.args)
            .arg(&self.url)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
            .spawn()
            .map_err(|e| BrowserError::Launch(format!("{}: {e}", binary.display())))
    }
}

/// By the owner of this process in `/proc`; where there is none, nobody is taken for root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn new_profile() -> Result<TempDir, BrowserError> {
    tempfile::Builder::new()
        .prefix("authloop-profile-")
        .tempdir()
        .map_err(|e| BrowserError::Launch(format!("no room for a profile: {e}")))
}

/// A full pipe would stop the browser. Of what it says only this is told on: it then ends at once.
fn drain_stderr(mut lines: Lines<BufReader<ChildStderr>>) {
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("No usable sandbox") {
                tracing::error!(
                    "Chromium has no usable sandbox here: allow it user namespaces, or give {NO_SANDBOX_FLAG}"
                );
            }
        }
    });
}

fn find_chromium() -> Option<PathBuf> {
    CHROMIUM_PATHS
        .iter()
        .map(PathBuf::from)
        .find(|p| p.exists())
}

/// A running browser; dropping it kills the browser and removes its profile.
#[derive(Debug)]
pub struct LaunchedBrowser {
    child: Child,
    profile: Option<TempDir>,
    cdp_url: String,
}

impl LaunchedBrowser {
    /// The browser's CDP address, `ws://127.0.0.1:port/devtools/browser/…`.
    pub fn cdp_url(&self) -> &str {
        &self.cdp_url
    }

    /// `http://127.0.0.1:port`, the other form of the address.
    pub fn http_url(&self) -> String {
        let address = self.cdp_url.trim_start_matches("ws://");
        let host = address.split('/').next().unwrap_or_default();
        format!("http://{host}")
    }

    /// The browser's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The profile directory.
    pub fn profile(&self) -> Option<&Path> {
        self.profile.as_ref().map(TempDir::path)
    }

    /// Kills the browser and waits until it is gone.
    pub async fn kill(&mut self) {
        let _already_gone = self.child.kill().await;
    }

    /// Chromium announces the port on stderr; the rest of stderr is drained, for a full pipe would
    /// stop the browser.
    async fn wait_for_port(&mut self) -> Result<String, BrowserError> {
        let stderr = self.child.stderr.take();
        let stderr = stderr.ok_or_else(|| BrowserError::Launch("no stderr".to_owned()))?;
        let mut lines = BufReader::new(stderr).lines();
        let mut last = String::from("it said nothing");
        let announced = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return Some(url.trim().to_owned());
                }
                if !line.trim().is_empty() {
                    last = line;
                }
            }
            None
        };
        let url = tokio::time::timeout(START_TIMEOUT, announced)
            .await
            .map_err(|_| BrowserError::Launch("it opened no debugging port in time".to_owned()))?
            .ok_or_else(|| BrowserError::Launch(format!("it ended at once: {last}")))?;
        drain_stderr(lines);
        Ok(url)
    }
}

impl Drop for LaunchedBrowser {
    fn drop(&mut self) {
        let _already_gone = self.child.start_kill();
        // A dying browser still writes; removing its profile under it would leave pieces.
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(profile) = self.profile.take() {
            let path = profile.keep();
            for _ in 0..20 {
                if std::fs::remove_dir_all(&path).is_ok() || !path.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
