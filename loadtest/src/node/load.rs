//! Many registered sessions and slow sockets at once, and how long a claim takes meanwhile.

mod report;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    NodeArgs, check_targets,
    client::{RegisteredSession, ServerClient, ViewerDevice, source_address},
    millis,
    plan::LoadPlan,
    raise_descriptor_limit, runtime, script,
    server::{ServerLimits, ServerProcess},
};
use report::LoadReport;

/// Sessions that are opened at a time.
const CONCURRENT_OPENS: usize = 64;
/// The same of slow ones, which need some ten seconds each.
const CONCURRENT_SLOW_OPENS: usize = 2048;
/// The server gives a socket 5 s to say who it is (`docs/PROTOCOL.md` section 5), and 2 s to close.
const SILENT_SOCKET_TIMEOUT: Duration = Duration::from_secs(9);
/// No claim takes longer, or the client has given up.
const MAX_CLAIM_TIME: Duration = Duration::from_secs(600);
/// All sessions live longer than any run.
const SESSION_LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// What to hold open, and for how long.
#[derive(Debug, Args)]
pub(crate) struct LoadOptions {
    /// Registered sessions, each with its host's WebSocket.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    sessions: u64,
    /// Slow WebSockets beside them, hosts and viewers of further sessions; fewer where descriptors
    /// do not suffice.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(0..=200_000))]
    slow: u64,
    /// Sockets at any time that never say anything, until the server ends them.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=5_000))]
    silent: u64,
    /// Milliseconds before each 256 bytes that a slow socket reads or writes: 200 are 10 kbit/s.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pause: u64,
    /// Claims a second, each of another session.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    claims: u64,
    /// Seconds of claims.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Seconds before them in which all sockets only stay open; the server pings every 20.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=600))]
    settle: u64,
    /// Let the server speak TLS.
    #[arg(long)]
    tls: bool,
    /// Milliseconds that the 99th percentile of claims must stay below.
    #[arg(long, default_value_t = 500.0)]
    p99_ms: f64,
    /// KiB of the server's memory that a socket may take.
    #[arg(long, default_value_t = 40.0)]
    kib: f64,
}

/// What stands open, and how it fares.
struct OpenSockets {
    client: ServerClient,
    /// Set once it is the tool that closes.
    over: watch::Receiver<bool>,
    lost: AtomicU64,
    ended: AtomicU64,
    endured: AtomicU64,
}

/// What came of the claims.
struct ClaimResults {
    latency: Histogram<u64>,
    failed: u64,
    first_failure: Option<String>,
}

/// Opens everything, measures, closes everything, and judges.
///
/// # Errors
/// When the load cannot be made, or a target is missed.
pub(crate) fn run(options: &LoadOptions, args: &NodeArgs) -> Result<()> {
    let wanted = LoadPlan {
        sessions: options.sessions,
        slow: options.slow - options.slow % 2,
        silent: options.silent,
        claims: options.claims,
    };
    let descriptor_limit = raise_descriptor_limit(wanted.descriptors());
    let held = wanted.within(descriptor_limit);
    ensure!(
        held.sessions > 0,
        "{descriptor_limit} descriptors a process are too few; raise the limit (`ulimit -n`)"
    );
    let limits = ServerLimits {
        sessions: held.registered(),
        connections: held.descriptors(),
        remember_ended: Duration::ZERO,
        tls: options.tls,
    };
    let server = ServerProcess::start(&args.binary()?, &limits)?;
    let report = runtime()?.block_on(measure(options, &server, wanted, held, descriptor_limit))?;
    let rows = report.rows(options);
    args.publish(&report, &rows)?;
    check_targets(&rows)
}

async fn measure(
    options: &LoadOptions,
    server: &ServerProcess,
    wanted: LoadPlan,
    held: LoadPlan,
    descriptor_limit: u64,
) -> Result<LoadReport> {
    let (end, over) = watch::channel(false);
    let sockets = Arc::new(OpenSockets {
        client: server.client().clone(),
        over,
        lost: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        endured: AtomicU64::new(0),
    });
    let claimable = options.claims * options.seconds;
    let bar = ProgressBar::new(held.standing() + claimable).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})")?,
    );
    let empty = server.usage()?;
    bar.set_message("opening hosts");
    let hosts = 0..held.sessions;
    let open_host = |n| sockets.clone().registered(n, bar.clone());
    let sessions: Vec<_> = stream::iter(hosts)
        .map(open_host)
        .buffer_unordered(CONCURRENT_OPENS)
        .try_collect()
        .await?;
    let with_sessions = server.usage()?;
    bar.set_message("opening slow sockets");
    let pairs = held.sessions..held.registered();
    let pause = Duration::from_millis(options.pause);
    let open_pair = |n| sockets.clone().slow_pair(n, pause, bar.clone());
    let slow = stream::iter(pairs).map(open_pair);
    slow.buffer_unordered(CONCURRENT_SLOW_OPENS)
        .try_collect::<()>()
        .await?;
    let mut silent = JoinSet::new();
    for n in 0..held.silent {
        silent.spawn(sockets.clone().silent(n, sessions[0].clone()));
    }
    bar.set_message("letting it settle");
    let (before, clock) = (server.usage()?.cpu, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.settle)).await;
    let with_all = server.usage()?;
    let cpu_standing_percent = percent(with_all.cpu.saturating_sub(before), clock.elapsed());
    bar.set_message("claiming");
    let clock = Instant::now();
    let count = claimable.min(held.sessions);
    let claims = sockets
        .claim(&sessions[..count as usize], options.claims, &bar)
        .await;
    let claims = claims?;
    let after_claims = server.usage()?;
    let cpu_claims = after_claims.cpu.saturating_sub(with_all.cpu);
    let cpu_claims_percent = percent(cpu_claims, clock.elapsed());
    bar.set_message("closing");
    end.send_replace(true);
    silent.shutdown().await;
    let drained = script::wait_until_drained(server, empty.descriptors).await?;
    bar.finish_and_clear();
    let peak = with_all.rss.max(after_claims.rss);
    let kib = |more: u64, less: u64, sockets: u64| {
        more.saturating_sub(less) as f64 / 1024.0 / sockets.max(1) as f64
    };
    let quantile = |q| claims.latency.value_at_quantile(q) as f64 / 1e3;
    Ok(LoadReport {
        tls: options.tls,
        wanted,
        held,
        descriptor_limit,
        empty,
        with_sessions,
        with_all,
        after_claims,
        drained,
        cpu_standing_percent,
        cpu_claims_percent,
        kib_per_host: kib(with_sessions.rss, empty.rss, held.sessions),
        kib_per_slow: kib(with_all.rss, with_sessions.rss, held.slow + held.silent),
        kib_per_socket: kib(peak, empty.rss, held.standing() + held.silent),
        claims: claims.latency.len(),
        failed_claims: claims.failed,
        first_failure: claims.first_failure,
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        max_ms: quantile(1.0),
        silent_ended: sockets.ended.load(Ordering::Relaxed),
        silent_endured: sockets.endured.load(Ordering::Relaxed),
        lost_sockets: sockets.lost.load(Ordering::Relaxed),
    })
}

impl OpenSockets {
    /// A session whose host is there and reads promptly.
    async fn registered(self: Arc<Self>, n: u64, bar: ProgressBar) -> Result<RegisteredSession> {
        let session = self
            .client
            .register(source_address(n), SESSION_LIFETIME)
            .await?;
        let host = self
            .client
            .attach_host(source_address(n), &session, None)
            .await?;
        self.keep(host);
        bar.inc(1);
        Ok(session)
    }

    /// A claimed session whose two sockets read and write slowly; each has had an offer, or an
    /// answer, from the other.
    async fn slow_pair(self: Arc<Self>, n: u64, pause: Duration, bar: ProgressBar) -> Result<()> {
        // Two connections each, so that an address's share of them is the same.
        let from = source_address(n * 2);
        let session = self.client.register(from, SESSION_LIFETIME).await?;
        let mut host = self.client.attach_host(from, &session, Some(pause)).await?;
        let device = ViewerDevice::new()?;
        let (mut viewer, _) = self
            .client
            .claim_as_viewer(from, &session, &device, Some(pause))
            .await?;
        script::exchange_descriptions(&mut host, &mut viewer).await?;
        self.keep(host);
        self.keep(viewer);
        bar.inc(2);
        Ok(())
    }

    /// Opens sockets that say nothing, one after the other, each from an address of its own.
    async fn silent(self: Arc<Self>, n: u64, session: RegisteredSession) {
        let mut from = (1 << 20) + n * 64;
        loop {
            if let Ok(mut socket) = self
                .client
                .open_silent(source_address(from), &session)
                .await
            {
                match timeout(SILENT_SOCKET_TIMEOUT, socket.read_until_closed()).await {
                    Ok(()) => &self.ended,
                    Err(_) => &self.endured,
                }
                .fetch_add(1, Ordering::Relaxed);
            }
            from += 64 << 10;
        }
    }

    /// Holds a socket open until the end, and counts it as lost if the server ends it before.
    fn keep(self: &Arc<Self>, mut socket: super::client::SignalSocket) {
        let sockets = self.clone();
        tokio::spawn(async move {
            let mut over = sockets.over.clone();
            let ended = tokio::select! {
                () = socket.read_until_closed() => true,
                _ = over.wait_for(|over| *over) => false,
            };
            if ended && !*over.borrow() {
                sockets.lost.fetch_add(1, Ordering::Relaxed);
            }
            socket.close().await;
        });
    }

    /// Claims each session once at a steady rate, whether or not the one before is done. A claim's
    /// time runs from when it was due, so that a late start counts, too.
    async fn claim(
        self: &Arc<Self>,
        sessions: &[RegisteredSession],
        per_second: u64,
        bar: &ProgressBar,
    ) -> Result<ClaimResults> {
        let start = Instant::now();
        let mut running = JoinSet::new();
        for (n, session) in (0u64..).zip(sessions) {
            let due = start + Duration::from_secs(1) * n as u32 / per_second as u32;
            let (sockets, session, device) = (self.clone(), session.clone(), ViewerDevice::new()?);
            tokio::time::sleep_until(due.into()).await;
            running.spawn(async move {
                let from = source_address((1 << 19) + n);
                let (viewer, _) = sockets
                    .client
                    .claim_as_viewer(from, &session, &device, None)
                    .await?;
                let took = due.elapsed();
                viewer.close().await;
                Ok::<_, anyhow::Error>(took)
            });
            bar.inc(1);
        }
        let mut claims = ClaimResults {
            latency: Histogram::new_with_bounds(1, MAX_CLAIM_TIME.as_micros() as u64, 3)?,
            failed: 0,
            first_failure: None,
        };
        while let Some(claimed) = running.join_next().await {
            match claimed.context("a claim panicked")? {
                Ok(took) => claims.latency.saturating_record(took.as_micros() as u64),
                Err(error) => {
                    claims.failed += 1;
                    claims.first_failure.get_or_insert(format!("{error:#}"));
                }
            }
        }
        Ok(claims)
    }
}

/// Of one processor.
fn percent(cpu: Duration, clock: Duration) -> f64 {
    100.0 * millis(cpu) / millis(clock).max(1.0)
}
