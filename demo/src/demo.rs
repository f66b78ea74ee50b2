//! Starts every part of authloop as a process of its own, and one handoff.

mod lan_proxy;
mod process;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use authloop_cdp::{Launch, LaunchedBrowser};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::site::{Site, SiteConfig};
use lan_proxy::LanProxy;
use process::{ChildProcess, CleanupProcess};

/// Time the server has to print that it listens.
const SERVER_START_TIMEOUT: Duration = Duration::from_secs(20);
/// Time the host has to call the handoff off once it is told to stop.
const HOST_EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of the demo.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// One JSON object a line on stdout.
    pub json: bool,
    /// Reachable from the local network.
    pub lan: bool,
    /// The link's life in seconds.
    pub ttl: u64,
    /// Where the storage state goes.
    pub storage_state: Option<PathBuf>,
    /// Where the sign-in site listens.
    pub site: IpAddr,
}

impl DemoOptions {
    fn print_place(&self, what: &str, place: &str) {
        if !self.json {
            eprintln!("{what:<14}{place}");
        }
    }
}

/// Runs the demo to its end and gives the host's exit code. Must run on one thread alone or in a
/// process of its own, for it takes over SIGINT and SIGTERM.
///
/// # Errors
/// When a part is missing or does not start, and when a signal asks for the end.
pub async fn run(options: &DemoOptions) -> anyhow::Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stopped = std::pin::pin!(async move {
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    });
    let mut demo = tokio::select! {
        demo = Demo::start(options) => demo?,
        () = &mut stopped => bail!("stopped"),
    };
    tokio::select! {
        ended = demo.host.wait() => ended,
        ended = demo.server.wait() => bail!("the server ended by itself, with code {}", ended?),
        () = stopped => {
            // Ctrl-C in a terminal has reached the host already; SIGTERM to the demo has not.
            demo.host.terminate();
            let _ended_or_killed = tokio::time::timeout(HOST_EXIT_TIMEOUT, demo.host.wait()).await;
            bail!("stopped")
        }
    }
}

/// Everything that runs; dropped in this order, the host first.
struct Demo {
    host: ChildProcess,
    _browser: LaunchedBrowser,
    server: ChildProcess,
    _site: Site,
    _cleanup: CleanupProcess,
}

impl Demo {
    async fn start(options: &DemoOptions) -> anyhow::Result<Self> {
        let mut cleanup = CleanupProcess::start()?;
        let site = Site::start(SiteConfig::default(), options.site)
            .await
            .context("cannot start the sign-in site")?;
        options.print_place("sign-in site", site.origin());

        let lan = if options.lan {
            Some(LanProxy::open().await?)
        } else {
            None
        };
        let (server, ready) = start_server(&mut cleanup, lan.as_ref()).await?;
        let inside = format!("http://{}", ready.listen);
        options.print_place("server", &inside);
        if let Some(lan) = lan {
            options.print_place("for phones", &ready.url);
            lan.serve(ready.listen);
        } else {
            options.print_place("for phones", "run with --lan");
        }

        let launch = Launch::builder().url(site.origin());
        let browser = launch.arg("--window-size=1280,800").start().await;
        let browser = browser.context("no browser (script/bootstrap installs one)")?;
        cleanup.add_browser(&browser)?;
        options.print_place("browser", &browser.http_url());

        let mut command = process::sibling_command("authloop-host")?;
        command.args(["handoff", "--cdp", &browser.http_url()]);
        command.args(["--server", &inside, "--public-origin", &ready.url]);
        command.args(["--requester", "Invoice agent (demo)"]);
        command.args(["--reason", HANDOFF_REASON, "--expect-origin", site.origin()]);
        command.args(["--ttl", &options.ttl.to_string()]);
        if let Some(file) = &options.storage_state {
            command.arg("--storage-state").arg(file);
        }
        if options.json {
            command.arg("--json");
        }
        let host = ChildProcess::start("authloop-host", command, &mut cleanup)?;
        Ok(Self {
            host,
            _browser: browser,
            server,
            _site: site,
            _cleanup: cleanup,
        })
    }
}

const HANDOFF_REASON: &str =
    "Sign in to Northwind Bank, so that the agent can fetch this month’s invoice.";

/// The line that the server prints when it is ready.
#[derive(Deserialize)]
struct ListeningEvent {
    /// The origin that the world sees.
    url: String,
    /// The socket.
    listen: std::net::SocketAddr,
}

async fn start_server(
    cleanup: &mut CleanupProcess,
    lan: Option<&LanProxy>,
) -> anyhow::Result<(ChildProcess, ListeningEvent)> {
    let mut command = process::sibling_command("authloop")?;
    command.args(["serve", "--json", "--log", "warn"]);
    command.args(["--listen", "127.0.0.1:0", "--relay-listen", "0.0.0.0:0"]);
    if let Some(lan) = lan {
        command.args(["--public-origin", lan.origin()]);
        command.args(["--relay-advertise", &lan.ip().to_string()]);
    }
    // Ctrl-C must not end it before the host has said good-bye.
    command.process_group(0);
    let (server, line) =
        ChildProcess::start_and_read_line("authloop serve", command, cleanup, SERVER_START_TIMEOUT)
            .await?;
    let ready = serde_json::from_str(&line);
    let ready = ready.with_context(|| format!("cannot read what the server printed: {line}"))?;
    Ok((server, ready))
}
