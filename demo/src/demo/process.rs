//! Processes that do not outlive the demo, however it ends.

use std::{
    io::Write as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use authloop_cdp::LaunchedBrowser;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Reads what to kill and what to remove, and does both at the end of its input, which is the
/// demo's own end, even by SIGKILL.
const CLEANUP_SCRIPT: &str = r#"
trap '' INT HUP TERM
pids= profile=
while read -r verb what; do
  case $verb in kill) pids="$pids $what" ;; remove) profile=$what ;; esac
done
[ -z "$pids" ] || kill -KILL $pids
[ -z "$profile" ] || rm -rf -- "$profile"
"#;

/// A small process that outlives the demo just long enough to end the others.
pub(super) struct CleanupProcess(std::process::Child);

impl CleanupProcess {
    pub(super) fn start() -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let child = std::process::Command::new("sh")
            .args(["-c", CLEANUP_SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Ok(Self(child.context("cannot start sh")?))
    }

    /// Registers the browser, and the profile that it would leave behind.
    pub(super) fn add_browser(&mut self, browser: &LaunchedBrowser) -> anyhow::Result<()> {
        if let Some(pid) = browser.pid() {
            self.send("kill", &pid.to_string())?;
        }
        if let Some(profile) = browser.profile() {
            self.send("remove", &profile.display().to_string())?;
        }
        Ok(())
    }

    fn send(&mut self, verb: &str, what: &str) -> anyhow::Result<()> {
        let input = self
            .0
            .stdin
            .as_mut()
            .context("the cleanup process has no standard input")?;
        writeln!(input, "{verb} {what}").context("the cleanup process is gone")
    }
}

impl Drop for CleanupProcess {
    /// By now the others are gone; it only has to go too.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _exit_code = self.0.wait();
    }
}

/// One part of authloop; dropping it kills it.
pub(super) struct ChildProcess {
    name: &'static str,
    child: Child,
}

impl ChildProcess {
    /// Starts it on the demo's own stdout.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        cleanup: &mut CleanupProcess,
    ) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        if let Some(pid) = child.id() {
            cleanup.send("kill", &pid.to_string())?;
        }
        Ok(Self { name, child })
    }

    /// Starts it on a pipe and waits for its first line; the rest is read and forgotten.
    pub(super) async fn start_and_read_line(
        name: &'static str,
        mut command: Command,
        cleanup: &mut CleanupProcess,
        timeout: Duration,
    ) -> anyhow::Result<(Self, String)> {
        command.stdout(Stdio::piped());
        let mut part = Self::start(name, command, cleanup)?;
        let stdout = part.child.stdout.take().context("no pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(timeout, lines.next_line()).await;
        let first = first.with_context(|| format!("{name} did not start in time"))?;
        let Some(first) = first? else {
            bail!("{name} ended at once, with code {}", part.wait().await?);
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((part, first))
    }

    /// Waits for the end, and gives the exit code.
    pub(super) async fn wait(&mut self) -> anyhow::Result<u8> {
        let name = self.name;
        let status: ExitStatus = self.child.wait().await?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        code.with_context(|| format!("{name} ended abnormally: {status}"))
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _already_gone = kill_process(pid, Signal::TERM);
        }
    }
}

/// Returns a command for a binary that was built together with this one.
pub(super) fn sibling_command(name: &str) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("where is this program?")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        bail!(
            "{} is missing: run script/demo, or cargo build --release --workspace",
            path.display()
        );
    }
    let mut command = Command::new(path);
    // The demo is whole in itself: settings for another server or host are not meant for it.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"AUTHLOOP_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
