//! Starts a Chromium of our own: for the demo, for tests, and for `authloop-host launch`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::error::BrowserError;

/// A cold start on a loaded two-core machine takes seconds, not tens of seconds.
const START_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a killed browser may take to be gone before its profile is removed anyway.
const DEATH_TIMEOUT: Duration = Duration::from_secs(2);

const CANDIDATES: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/opt/google/chrome/chrome",
];

/// Quiet and self-contained: nothing phones home and nothing asks.
const FLAGS: [&str; 9] = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// How to start a browser.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: Option<PathBuf>,
    headless: bool,
    url: String,
    args: Vec<String>,
}

impl Launch {
    /// A headless Chromium from its usual place, at `about:blank`.
    pub fn builder() -> Self {
        Self {
            binary: None,
            headless: true,
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
    pub async fn start(self) -> Result<Launched, BrowserError> {
        let binary = self.binary.or_else(find).ok_or_else(|| {
            BrowserError::Launch(format!("no Chromium at any of {}", CANDIDATES.join(", ")))
        })?;
        let profile = tempfile::Builder::new()
            .prefix("authloop-profile-")
            .tempdir()
            .map_err(|e| BrowserError::Launch(format!("no room for a profile: {e}")))?;
        let mut command = Command::new(&binary);
        command.args(FLAGS);
        if self.headless {
            command.arg("--headless=new");
        }
        command
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(&self.args)
            .arg(&self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|e| BrowserError::Launch(format!("{}: {e}", binary.display())))?;
        let mut launched = Launched {
            child,
            profile: Some(profile),
            cdp_url: String::new(),
        };
        launched.cdp_url = launched.wait_for_port().await?;
        Ok(launched)
    }
}

fn find() -> Option<PathBuf> {
    CANDIDATES.iter().map(PathBuf::from).find(|p| p.exists())
}

/// A running browser; dropping it kills the browser and removes its profile.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    profile: Option<TempDir>,
    cdp_url: String,
}

impl Launched {
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
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(url)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _already_gone = self.child.start_kill();
        // A dying browser still writes; removing its profile under it would leave pieces.
        let deadline = Instant::now() + DEATH_TIMEOUT;
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
