//! Starts every part of authloop as a process of its own, and one handoff.

mod child;
mod lan;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use authloop_cdp::{Launch, Launched};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::site::{Site, SiteConfig};
use child::{Guardian, Part};
use lan::Door;

/// A server that says nothing for so long is broken.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// What the host may take to call the handoff off.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub struct Options {
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

impl Options {
    fn say(&self, what: &str, place: &str) {
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
pub async fn run(options: &Options) -> anyhow::Result<u8> {
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
            let _ended_or_killed = tokio::time::timeout(GOODBYE, demo.host.wait()).await;
            bail!("stopped")
        }
    }
}

/// Everything that runs; dropped in this order, the host first.
struct Demo {
    host: Part,
    _browser: Launched,
    server: Part,
    _site: Site,
    _guardian: Guardian,
}

impl Demo {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let mut guardian = Guardian::start()?;
        let site = Site::start(SiteConfig::default(), options.site)
            .await
            .context("cannot start the sign-in site")?;
        options.say("sign-in site", site.origin());

        let door = match options.lan {
            true => Some(Door::open().await?),
            false => None,
        };
        let (server, ready) = start_server(&mut guardian, door.as_ref()).await?;
        let inside = format!("http://{}", ready.listen);
        options.say("server", &inside);
        if let Some(door) = door {
            options.say("for phones", &ready.url);
            door.serve(ready.listen);
        } else {
            options.say("for phones", "run with --lan");
        }

        let launch = Launch::builder().url(site.origin());
        let browser = launch.arg("--window-size=1280,800").start().await;
        let browser = browser.context("no browser (script/bootstrap installs one)")?;
        guardian.take_browser(&browser)?;
        options.say("browser", &browser.http_url());

        let mut command = child::beside("authloop-host")?;
        command.args(["handoff", "--cdp", &browser.http_url()]);
        command.args(["--server", &inside, "--public-origin", &ready.url]);
        command.args(["--requester", "Invoice agent (demo)"]);
        command.args(["--reason", REASON, "--expect-origin", site.origin()]);
        command.args(["--ttl", &options.ttl.to_string()]);
        if let Some(file) = &options.storage_state {
            command.arg("--storage-state").arg(file);
        }
        if options.json {
            command.arg("--json");
        }
        let host = Part::start("authloop-host", command, &mut guardian)?;
        Ok(Self {
            host,
            _browser: browser,
            server,
            _site: site,
            _guardian: guardian,
        })
    }
}

const REASON: &str = "Sign in to Northwind Bank, so that the agent can fetch this month’s invoice.";

/// What the server prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    /// The origin that the world sees.
    url: String,
    /// The socket.
    listen: std::net::SocketAddr,
}

async fn start_server(
    guardian: &mut Guardian,
    door: Option<&Door>,
) -> anyhow::Result<(Part, Ready)> {
    let mut command = child::beside("authloop")?;
    command.args(["serve", "--json", "--log", "warn"]);
    command.args(["--listen", "127.0.0.1:0", "--relay-listen", "0.0.0.0:0"]);
    if let Some(door) = door {
        command.args(["--public-origin", door.origin()]);
        command.args(["--relay-advertise", &door.ip().to_string()]);
    }
    // Ctrl-C must not end it before the host has said good-bye.
    command.process_group(0);
    let (server, line) =
        Part::start_piped("authloop serve", command, guardian, START_TIMEOUT).await?;
    let ready = serde_json::from_str(&line);
    let ready = ready.with_context(|| format!("the server said what nobody knows: {line}"))?;
    Ok((server, ready))
}
