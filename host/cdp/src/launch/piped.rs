//! A browser without a debugging port: its commands go over a pipe.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{Launch, LaunchedBrowser, drain_stderr, new_profile};
use crate::{error::BrowserError, transport::Transport};

/// What a browser for handoffs keeps no copies by: of what was typed, and of pages left behind.
const DISCREET_FLAGS: [&str; 5] = [
    "--disable-back-forward-cache",
    // A crash's picture of a renderer's memory would be kept outside of the profile.
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--password-store=basic",
    "--disable-save-password-bubble",
];

/// Where Chromium keeps what is in each tab, fields included, for its next start; where it finds a
/// file in the way, it does without.
const TAB_STATE_FILES: [&str; 2] = ["Sessions", "Sessions_Encrypted"];

/// Where the crash handler, which the flags alone do not keep from starting, puts pictures of a renderer's
/// memory; where it finds a file in the way, it does without.
const CRASH_FOLDER: &str = "Crash Reports";
/// The folders of the programs that may be started, below `CHROME_CONFIG_HOME`.
const CONFIG_FOLDERS: [&str; 2] = ["chromium", "google-chrome"];

/// Hands the pipes over as file descriptors 3 and 4, where Chromium looks for them, and nothing else.
const PIPE_SHELL_SCRIPT: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// The same without core dumps, which would hold what was typed.
const CONFINED_SHELL_SCRIPT: &str =
    r#"ulimit -c 0; umask 077; exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// Where a browser whose environment is built finds its programs.
const CONFINED_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A browser without a debugging port; dropping it kills the browser and removes its profile.
#[derive(Debug)]
pub struct PipedBrowser {
    process: LaunchedBrowser,
    binary: PathBuf,
    sandbox: bool,
}

impl PipedBrowser {
    /// How to start another instance of the same program.
    pub fn another(&self) -> Launch {
        Launch::builder().binary(&self.binary).sandbox(self.sandbox)
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }
}

impl Launch {
    /// Starts the browser with a new profile and a debugging pipe, so that no port is open.
    ///
    /// # Errors
    /// [`BrowserError::Launch`].
    pub fn start_piped(self) -> Result<(PipedBrowser, Transport), BrowserError> {
        let profile = new_profile()?;
        let command = piped_command(PIPE_SHELL_SCRIPT);
        let (mut piped, transport) = self.start_over(command, profile.path())?;
        piped.process.profile = Some(profile);
        Ok((piped, transport))
    }

    /// Starts the browser in a profile of the caller's, with a debugging pipe. Its environment is built and not
    /// inherited: certificate stores, proxies and preloaded libraries of this process's user stay out. The
    /// profile is its home.
    ///
    /// # Errors
    /// [`BrowserError::Launch`].
    pub fn start_confined(self, profile: &Path) -> Result<(PipedBrowser, Transport), BrowserError> {
        let mut command = piped_command(CONFINED_SHELL_SCRIPT);
        command
            .env_clear()
            .env("PATH", CONFINED_PATH)
            .env("LANG", "C.UTF-8")
            .env("HOME", profile)
            .env("TMPDIR", profile)
            .current_dir(profile);
        self.start_over(command, profile)
    }

    fn start_over(
        self,
        mut command: Command,
        profile: &Path,
    ) -> Result<(PipedBrowser, Transport), BrowserError> {
        let binary = self.find_binary()?;
        let sandbox = self.sandbox;
        let first = profile.join("Default");
        std::fs::create_dir(&first)
            .and_then(|()| std::fs::write(first.join("Preferences"), discreet_preferences(profile)))
            .and_then(|()| {
                let mut sessions = TAB_STATE_FILES.iter();
                sessions.try_for_each(|name| std::fs::write(first.join(name), ""))
            })
            .and_then(|()| {
                CONFIG_FOLDERS.iter().try_for_each(|name| {
                    let folder = profile.join("Config").join(name);
                    std::fs::create_dir_all(&folder)?;
                    std::fs::write(folder.join(CRASH_FOLDER), "")
                })
            })
            .map_err(|e| BrowserError::Launch(format!("no room for a profile: {e}")))?;
        command
            .arg(&binary)
            .arg("--remote-debugging-pipe")
            .args(DISCREET_FLAGS)
            .env("CHROME_CONFIG_HOME", profile.join("Config"));
        let mut child = self.spawn(command, &binary, profile)?;
        let (Some(input), Some(output), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(BrowserError::Launch("no pipes".to_owned()));
        };
        drain_stderr(BufReader::new(stderr).lines());
        let process = LaunchedBrowser {
            child,
            profile: None,
            cdp_url: String::new(),
        };
        let piped = PipedBrowser {
            process,
            binary,
            sandbox,
        };
        Ok((piped, Transport::pipe(input, output)))
    }
}

fn piped_command(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// What Chromium does not remember, and where it saves what nobody has named a place for.
fn discreet_preferences(profile: &Path) -> String {
    let autofill =
        json!({ "enabled": false, "profile_enabled": false, "credit_card_enabled": false });
    json!({
        "autofill": autofill,
        "credentials_enable_service": false,
        "download": { "default_directory": profile.join("Downloads") },
        "profile": { "password_manager_enabled": false },
    })
    .to_string()
}
