//! `authloop-host serve`: the agent API.

use std::{
    net::SocketAddr, num::NonZeroU32, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use anyhow::{Context as _, bail};
use authloop_agent_api::{ApiKeys, AuditLog, Config, RoomsAllowed, Service, WebhookPolicy};
use authloop_cdp::Launch;
use authloop_gate::{Gate, GateConfig, GatedBrowser, Upstream};
use authloop_host_metrics::Metrics;
use authloop_net::{LimitedListener, serve_http};
use authloop_rooms::{Isolation, RoomError};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    launch::GateMode,
    room_args::RoomArgs,
    runner::{CdpAllow, HandoffRunner},
    server_args::ServerArgs,
};

/// Connections at once to the figures; further ones wait in the system's queue.
const MAX_METRICS_CONNECTIONS: usize = 64;

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Where to listen. Anything but loopback needs --api-keys-file.
    #[arg(long, env = "AUTHLOOP_HOST_LISTEN", default_value = "127.0.0.1:7300")]
    listen: SocketAddr,
    #[command(flatten)]
    server: ServerArgs,
    /// A file with the keys that agents must present, one a line; without it any key, or none, will do.
    #[arg(long, env = "AUTHLOOP_HOST_API_KEYS_FILE")]
    api_keys_file: Option<PathBuf>,
    /// A name, besides localhost and addresses, under which agents reach this; may be given several times.
    #[arg(
        long = "allow-host",
        env = "AUTHLOOP_HOST_ALLOW_HOST",
        value_delimiter = ','
    )]
    allow_host: Vec<String>,
    /// How agents reach this, for the addresses they are told.
    #[arg(long, env = "AUTHLOOP_HOST_PUBLIC_URL")]
    public_url: Option<Url>,
    /// Sessions that may be open at once.
    #[arg(long, env = "AUTHLOOP_HOST_MAX_SESSIONS", default_value_t = 16)]
    max_sessions: usize,
    /// Requests a second and key; twice as many in one burst.
    #[arg(long, env = "AUTHLOOP_HOST_RATE", default_value = "20")]
    rate: NonZeroU32,
    /// How long a sealed storage state waits to be read, in seconds.
    #[arg(long, env = "AUTHLOOP_HOST_KEEP", default_value_t = 600)]
    keep: u64,
    /// Where Prometheus finds /metrics; nowhere if not given. It needs no key.
    #[arg(long, env = "AUTHLOOP_HOST_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Append agents' audit events to this file instead of logging them.
    #[arg(long, env = "AUTHLOOP_HOST_AUDIT_LOG")]
    audit_log: Option<PathBuf>,
    /// A host that webhooks may reach although it is private or speaks plain HTTP; may be given several times.
    #[arg(
        long = "webhook-allow",
        env = "AUTHLOOP_HOST_WEBHOOK_ALLOW",
        value_delimiter = ','
    )]
    webhook_allow: Vec<String>,
    /// Start a browser that agents reach through the gate only, and tell its address.
    #[arg(long)]
    launch: bool,
    /// Which browsers agents may have handed over; `gated` is the default with --launch, and makes
    /// `cdp_url` a name that is never dialled [default: any without --launch].
    #[arg(long, value_enum, env = "AUTHLOOP_HOST_CDP_ALLOW")]
    cdp_allow: Option<CdpAllow>,
    /// Where agents connect to browsers behind the gate.
    #[arg(long, env = "AUTHLOOP_HOST_GATE_LISTEN", default_value = "127.0.0.1:0")]
    gate_listen: SocketAddr,
    /// What agents get from the gate while the user has the browser, unless a session says otherwise.
    #[arg(long, value_enum, default_value_t = GateMode::Hold)]
    gate: GateMode,
    /// The Chromium to launch; looked for in the usual places if not given.
    #[arg(long, requires = "launch")]
    chromium: Option<PathBuf>,
    /// Start Chromium without its sandbox: for containers that are one, and let it make none.
    #[arg(long, env = "AUTHLOOP_HOST_NO_SANDBOX")]
    no_sandbox: bool,
    /// Show the launched browser's window.
    #[arg(long, requires = "launch")]
    headed: bool,
    #[command(flatten)]
    rooms: RoomArgs,
    /// Print one JSON object per line instead of text.
    #[arg(long)]
    json: bool,
    /// Print the OpenAPI document and exit.
    #[arg(long)]
    openapi: bool,
}

impl ServeArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let keys = match &self.api_keys_file {
            Some(path) => ApiKeys::load(path)?,
            None => ApiKeys::default(),
        };
        let audit = match &self.audit_log {
            Some(path) => AuditLog::open(path)
                .with_context(|| format!("{} cannot be written", path.display()))?,
            None => AuditLog::default(),
        };
        let config = Config {
            keys,
            allow_hosts: self.allow_host.clone(),
            public_url: self.public_url.clone(),
            max_sessions: self.max_sessions,
            rate: self.rate,
            keep: Duration::from_secs(self.keep),
            audit,
            webhooks: WebhookPolicy {
                allow: self.webhook_allow.clone(),
                ..WebhookPolicy::default()
            },
            rooms: self.rooms.policy(self.launch),
            metrics: match self.metrics_listen {
                Some(_) => Metrics::new()?,
                None => Metrics::default(),
            },
        };
        config.check(self.listen)?;
        Ok(config)
    }

    fn gate(&self) -> GateConfig {
        GateConfig {
            listen: self.gate_listen,
            mode: self.gate.into(),
            // Several browsers may come to stand behind it; the token tells them apart.
            token_optional: false,
            allowed_hosts: self.allow_host.clone(),
        }
    }

    fn cdp_allow(&self) -> CdpAllow {
        self.cdp_allow.unwrap_or(if self.launch {
            CdpAllow::Gated
        } else {
            CdpAllow::Any
        })
    }

    fn browser(&self) -> Upstream {
        let launch = Launch::builder()
            .headless(!self.headed)
            .sandbox(!self.no_sandbox);
        Upstream::Launch(match &self.chromium {
            Some(chromium) => launch.binary(chromium),
            None => launch,
        })
    }
}

/// Serves until `stop` is cancelled. 0 after that, 2 on bad usage, 1 on failure.
///
/// `settings` says whether all that the environment sets is known.
pub(crate) async fn run(
    args: &ServeArgs,
    settings: anyhow::Result<()>,
    stop: CancellationToken,
) -> ExitCode {
    if args.openapi {
        let document = authloop_agent_api::openapi();
        println!(
            "{}",
            serde_json::to_string_pretty(&document).unwrap_or_default()
        );
        return ExitCode::SUCCESS;
    }
    let checked = settings.and_then(|()| {
        let server = args.server.server()?;
        let origins = args.server.origins(&server)?;
        Ok((args.config()?, server, origins))
    });
    let (config, server, (public_origin, viewer_origin)) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("authloop-host: {error:#}");
            return ExitCode::from(crate::EXIT_USAGE);
        }
    };
    let gate = match Gate::start(args.gate()).await {
        Ok(gate) => gate,
        Err(error) => {
            eprintln!("authloop-host: {error}");
            return ExitCode::from(crate::EXIT_FAILED);
        }
    };
    let mut config = config;
    let rooms = match config.rooms.rooms {
        RoomsAllowed::InPlace => Err(RoomError::Refused),
        RoomsAllowed::Private | RoomsAllowed::Any => args.rooms.pool(!args.no_sandbox),
    };
    match (&rooms, config.rooms.rooms) {
        (Err(error), RoomsAllowed::Private) => {
            eprintln!("authloop-host: {error}");
            return ExitCode::from(crate::EXIT_FAILED);
        }
        (Err(error), RoomsAllowed::Any) => {
            tracing::warn!(%error, "users sign in in agents' browsers only");
            config.rooms.rooms = RoomsAllowed::InPlace;
        }
        (Ok(rooms), _) if rooms.isolation() == Isolation::SameUser => tracing::warn!(
            "private rooms run as the host's user: what else runs as that user could read them"
        ),
        _ => {}
    }
    let runner = HandoffRunner {
        rooms,
        keep_query: args.rooms.keeps_query(),
        in_place_allowed: config.rooms.rooms != RoomsAllowed::Private,
        gate,
        cdp_allow: args.cdp_allow(),
        gated: Mutex::default(),
        server,
        public_origin,
        viewer_origin,
        metrics: config.metrics.clone(),
    };
    match serve(args, config, runner, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authloop-host: {error:#}");
            ExitCode::from(crate::EXIT_FAILED)
        }
    }
}

async fn serve(
    args: &ServeArgs,
    config: Config,
    runner: HandoffRunner,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = bind(args.listen).await?;
    let listen = listener.local_addr()?;
    let metrics = match args.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let scraped = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = metrics {
        let routes = config.metrics.routes();
        let listener = LimitedListener::new(listener, MAX_METRICS_CONNECTIONS);
        tokio::spawn(serve_http(listener, routes, stop.clone()));
    }
    let open = config.keys.is_open();
    let launched = if args.launch {
        Some(runner.gate.add_browser(args.browser()).await?)
    } else {
        None
    };
    let cdp = launched.as_ref().map(GatedBrowser::cdp_url);
    let service = Service::new(listener, config, Arc::new(runner))?;
    if args.json {
        println!(
            "{}",
            json!({ "event": "listening", "listen": listen.to_string(), "metrics": scraped, "cdp": cdp })
        );
    } else {
        println!("The agent API is at http://{listen}");
        if let Some(scraped) = scraped {
            println!("Prometheus finds its figures at http://{scraped}/metrics");
        }
        if let Some(cdp) = cdp {
            println!("The browser is behind the gate; agents connect to {cdp}");
        }
        if open {
            println!("Any program on this machine may use it; --api-keys-file changes that.");
        }
    }
    let ended = async {
        match &launched {
            Some(browser) => browser.ended().await,
            None => std::future::pending().await,
        }
    };
    let serving = service.serve(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = ended => {
            stop.cancel();
            serving.await;
            bail!("the browser has ended");
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen at {address}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(args: &[&str]) -> anyhow::Result<Config> {
        let given = ["authloop-host", "serve", "--server", "http://127.0.0.1:1"];
        match Cli::parse_from(given.iter().chain(args)).command {
            Command::Serve(args) => args.config(),
            _ => bail!("another command"),
        }
    }

    #[test]
    fn an_open_api_on_the_network_is_refused() {
        assert!(config(&[]).is_ok());
        let error = config(&["--listen", "0.0.0.0:7300"]).unwrap_err();
        assert!(error.to_string().contains("--api-keys-file"), "{error}");
    }

    #[test]
    fn numbers_have_bounds() {
        for bad in [
            ["--max-sessions", "0"],
            ["--keep", "0"],
            ["--rate", "20000"],
        ] {
            assert!(config(&bad).is_err(), "{bad:?}");
        }
    }
}
