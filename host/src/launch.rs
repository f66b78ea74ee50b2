//! `authloop-host launch`: a browser behind the gate.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use authloop_cdp::Launch;
use authloop_gate::{ClosedMode, Gate, GateConfig, GatedBrowser, Upstream};
use clap::ValueEnum;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Options of `launch`.
#[derive(Debug, clap::Args)]
pub(crate) struct LaunchArgs {
    /// Where agents connect.
    #[arg(long, env = "AUTHLOOP_HOST_GATE_LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What agents get while the user has the browser.
    #[arg(long, value_enum, default_value_t = GateMode::Hold)]
    gate: GateMode,
    /// Show the browser's window.
    #[arg(long, conflicts_with = "headless")]
    headed: bool,
    /// Run without a window, which is the default.
    #[arg(long)]
    headless: bool,
    /// The Chromium to start; looked for in the usual places if not given.
    #[arg(long)]
    chromium: Option<PathBuf>,
    /// The first page.
    #[arg(long, default_value = "about:blank")]
    url: String,
    /// Start Chromium without its sandbox: for containers that are one, and let it make none.
    #[arg(long, env = "AUTHLOOP_HOST_NO_SANDBOX")]
    no_sandbox: bool,
    /// One more argument for Chromium; may be given several times.
    #[arg(long = "arg", allow_hyphen_values = true)]
    args: Vec<String>,
    /// Put this browser behind the gate instead of starting one; its own port stays open.
    #[arg(long, conflicts_with_all = ["headed", "headless", "chromium", "url", "args"])]
    cdp: Option<String>,
    /// Answer only at the address with the token, not at the bare one that Puppeteer's browserURL needs.
    #[arg(long)]
    token_only: bool,
    /// A name, besides localhost and addresses, under which agents reach this; may be given several times.
    #[arg(long = "allow-host", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Make a Unix socket here (mode 0600), for `handoff --gate-control-socket`; keep it from agents.
    #[arg(long, env = "AUTHLOOP_HOST_CONTROL_SOCKET")]
    control_socket: Option<PathBuf>,
    /// Print one JSON object per line instead of text.
    #[arg(long)]
    json: bool,
}

/// What agents get while the user has the browser.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GateMode {
    /// Commands wait and go on afterwards.
    Hold,
    /// Commands are answered with an error at once.
    Reject,
}

/// Runs until the browser ends or `stop` is cancelled.
pub(crate) async fn run(args: &LaunchArgs, stop: CancellationToken) -> ExitCode {
    match serve(args, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            if args.json {
                say(&json!({ "event": "failed", "message": message }).to_string());
            } else {
                eprintln!("authloop-host: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

impl From<GateMode> for ClosedMode {
    fn from(mode: GateMode) -> Self {
        match mode {
            GateMode::Hold => Self::Hold,
            GateMode::Reject => Self::Reject,
        }
    }
}

async fn serve(args: &LaunchArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let gate = Gate::start(GateConfig {
        listen: args.listen,
        mode: args.gate.into(),
        token_optional: !args.token_only,
        allowed_hosts: args.allow_host.clone(),
    })
    .await?;
    let browser = gate.add_browser(upstream(args)).await?;
    let _control = match &args.control_socket {
        Some(path) => Some(browser.listen_control(path)?),
        None => None,
    };
    announce(args, &gate, &browser);
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = browser.ended() => anyhow::bail!("the browser has ended"),
    }
}

fn upstream(args: &LaunchArgs) -> Upstream {
    if let Some(cdp) = &args.cdp {
        return Upstream::Address(cdp.clone());
    }
    let mut launch = Launch::builder()
        .headless(!args.headed)
        .sandbox(!args.no_sandbox)
        .url(&args.url);
    if let Some(chromium) = &args.chromium {
        launch = launch.binary(chromium);
    }
    Upstream::Launch(args.args.iter().fold(launch, Launch::arg))
}

fn announce(args: &LaunchArgs, gate: &Gate, browser: &GatedBrowser) {
    let bare = (!args.token_only).then(|| format!("http://{}", gate.address()));
    if args.json {
        say(&json!({
            "event": "launched",
            "cdp": browser.cdp_url(),
            "ws": browser.ws_url(),
            "browser_url": bare,
            "files": browser.files_folder(),
            "pid": browser.pid(),
        })
        .to_string());
        return;
    }
    say(&format!(
        "The browser is behind the gate. Agents connect to\n\n  {}\n  {}",
        browser.cdp_url(),
        browser.ws_url()
    ));
    say(&format!(
        "  Files of theirs: {}",
        browser.files_folder().display()
    ));
    if let Some(bare) = bare {
        say(&format!(
            "  {bare}  (open to whoever reaches the port; --token-only ends that)"
        ));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's choice, and must not end the browser.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
