//! Whole sessions at a steady rate for a long time: memory must stay flat and nothing stay open.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::task::{JoinError, JoinSet};

use super::{
    NodeArgs, ReportRow, check_targets,
    client::source_address,
    millis, raise_descriptor_limit, runtime,
    script::{self, SessionEnding},
    server::{ServerLimits, ServerProcess},
    trend::Trend,
};
use crate::proc::ProcessUsage;

/// Samples over a run, at least; never more often than each half second.
const MIN_SAMPLES: u32 = 180;
const MIN_SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// No session takes longer to be ready, or its client has given up.
const MAX_READY_TIME: Duration = Duration::from_secs(600);
/// Sessions before the descriptors are counted, so that what is opened once is open.
const REHEARSAL_SESSIONS: u64 = 10;

/// How much, and for how long.
#[derive(Debug, Args)]
pub(crate) struct SoakOptions {
    /// Minutes of load.
    #[arg(long, default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Sessions a minute.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    rate: u64,
    /// Seconds that each session stands open.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    hold: u64,
    /// How much the last third's memory may be above the middle third's, in percent.
    #[arg(long, default_value_t = 5.0)]
    tolerance: f64,
}

#[derive(Debug, Serialize)]
struct SoakSample {
    seconds: f64,
    open: usize,
    usage: ProcessUsage,
}

#[derive(Debug, Serialize)]
struct SoakReport {
    minutes: f64,
    rate: u64,
    hold_seconds: u64,
    remember_ended_seconds: u64,
    sessions: u64,
    endings: BTreeMap<String, u64>,
    failed: u64,
    first_failure: Option<String>,
    ready_p50_ms: f64,
    ready_p99_ms: f64,
    rss: Option<Trend>,
    start: ProcessUsage,
    drained: ProcessUsage,
    cpu_percent: f64,
    samples: Vec<SoakSample>,
}

/// What came of the sessions so far.
struct SessionTally {
    ready: Histogram<u64>,
    endings: BTreeMap<String, u64>,
    failed: u64,
    first_failure: Option<String>,
}

/// Plays sessions for as long as asked, waits for the last, and judges.
///
/// # Errors
/// When the load cannot be made, or memory or descriptors grew.
pub(crate) fn run(options: &SoakOptions, args: &NodeArgs) -> Result<()> {
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    // What is remembered of ended sessions must have stopped to grow before memory is judged, so
    // they are forgotten within half of the warm-up.
    let remember_ended = Duration::from_secs((time / 6).as_secs());
    // A session lives for its hold and its last seconds; many may be late.
    let open = options.rate * (options.hold + 60) / 60 + 1_000;
    raise_descriptor_limit(open * 3);
    let limits = ServerLimits {
        sessions: open,
        connections: open * 3,
        remember_ended,
        tls: false,
    };
    let server = ServerProcess::start(&args.binary()?, &limits)?;
    let report = runtime()?.block_on(soak(options, &server, time, remember_ended))?;
    let rows = report.rows(options.tolerance);
    args.publish(&report, &rows)?;
    check_targets(&rows)
}

async fn soak(
    options: &SoakOptions,
    server: &ServerProcess,
    time: Duration,
    remember_ended: Duration,
) -> Result<SoakReport> {
    let resting = server.usage()?.descriptors;
    for n in 0..REHEARSAL_SESSIONS {
        script::play_session(
            server.client(),
            sides(n),
            SessionEnding::of(n),
            Duration::ZERO,
        )
        .await?;
    }
    let start = script::wait_until_drained(server, resting).await?;
    let bar = ProgressBar::new(time.as_secs()).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} s, {msg}",
    )?);
    let mut tally = SessionTally::new()?;
    let mut running = JoinSet::new();
    let mut samples = Vec::new();
    let every = (time / MIN_SAMPLES).max(MIN_SAMPLE_INTERVAL.min(time / 20));
    let clock = Instant::now();
    let mut sample_at = clock;
    let sessions = (options.rate as f64 * options.minutes) as u64;
    for n in 0..sessions {
        let due = clock + time.mul_f64(n as f64 / sessions as f64);
        while sample_at <= due {
            tokio::time::sleep_until(sample_at.into()).await;
            let seconds = clock.elapsed().as_secs_f64();
            let (open, usage) = (running.len(), server.usage()?);
            bar.set_position(seconds as u64);
            let memory = super::mib(usage.rss);
            bar.set_message(format!(
                "{open} open, {memory:.1} MiB, {} failed",
                tally.failed
            ));
            samples.push(SoakSample {
                seconds,
                open,
                usage,
            });
            sample_at += every;
        }
        tokio::time::sleep_until(due.into()).await;
        let (client, hold) = (server.client().clone(), Duration::from_secs(options.hold));
        let ending = SessionEnding::of(n);
        running.spawn(async move {
            let played =
                script::play_session(&client, sides(REHEARSAL_SESSIONS + n), ending, hold).await;
            (ending, played)
        });
        while let Some(done) = running.try_join_next() {
            tally.count(done)?;
        }
    }
    let cpu = server.usage()?.cpu.saturating_sub(start.cpu);
    let cpu_percent = 100.0 * millis(cpu) / millis(clock.elapsed());
    bar.set_message("the last ones end");
    while let Some(done) = running.join_next().await {
        tally.count(done)?;
    }
    let drained = script::wait_until_drained(server, start.descriptors).await?;
    bar.finish_and_clear();
    let rss: Vec<_> = samples
        .iter()
        .map(|sample| (sample.seconds, sample.usage.rss as f64))
        .collect();
    Ok(SoakReport {
        minutes: options.minutes,
        rate: options.rate,
        hold_seconds: options.hold,
        remember_ended_seconds: remember_ended.as_secs(),
        sessions,
        failed: tally.failed,
        first_failure: tally.first_failure,
        ready_p50_ms: tally.ready.value_at_quantile(0.5) as f64 / 1e3,
        ready_p99_ms: tally.ready.value_at_quantile(0.99) as f64 / 1e3,
        endings: tally.endings,
        rss: Trend::of(&rss),
        start,
        drained,
        cpu_percent,
        samples,
    })
}

impl SessionTally {
    fn new() -> Result<Self> {
        Ok(Self {
            ready: Histogram::new_with_bounds(1, MAX_READY_TIME.as_micros() as u64, 3)?,
            endings: BTreeMap::new(),
            failed: 0,
            first_failure: None,
        })
    }

    fn count(&mut self, done: Result<(SessionEnding, Result<Duration>), JoinError>) -> Result<()> {
        let (ending, played) = done.context("a session panicked")?;
        match played {
            Ok(ready) => {
                self.ready.saturating_record(ready.as_micros() as u64);
                *self
                    .endings
                    .entry(format!("{ending:?}").to_lowercase())
                    .or_default() += 1;
            }
            Err(error) => {
                self.failed += 1;
                self.first_failure
                    .get_or_insert(format!("{ending:?}: {error:#}"));
            }
        }
        Ok(())
    }
}

impl SoakReport {
    fn rows(&self, tolerance: f64) -> Vec<ReportRow> {
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let endings: Vec<_> = self
            .endings
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        let first = self.first_failure.as_deref();
        let most = |get: fn(&SoakSample) -> u64| self.samples.iter().map(get).max().unwrap_or(0);
        let mut rows = vec![
            ReportRow::plain(
                "load",
                format!(
                    "{} minutes at {} sessions a minute",
                    self.minutes, self.rate
                ),
            ),
            ReportRow::plain("each stands open for", format!("{} s", self.hold_seconds)),
            ReportRow::plain(
                "ended sessions are remembered for",
                format!("{} s", self.remember_ended_seconds),
            ),
            ReportRow::plain("sessions", self.sessions),
            ReportRow::plain("how they ended", endings.join(", ")),
            ReportRow::failures("sessions that went wrong", self.failed, first),
            ReportRow::plain(
                "registered to both legs, p50",
                format!("{:.1} ms", self.ready_p50_ms),
            ),
            ReportRow::plain(
                "registered to both legs, p99",
                format!("{:.1} ms", self.ready_p99_ms),
            ),
            ReportRow::plain("processor", format!("{:.1} %", self.cpu_percent)),
            ReportRow::plain("most sessions open", most(|sample| sample.open as u64)),
            ReportRow::plain("most descriptors", most(|sample| sample.usage.descriptors)),
            ReportRow::plain(
                "memory at the start",
                format!("{:.1} MiB", super::mib(self.start.rss)),
            ),
        ];
        match &self.rss {
            None => rows.push(ReportRow::with_target(
                "memory over time",
                "too few samples",
                "flat",
                false,
            )),
            Some(trend) => {
                let change = 100.0 * (trend.ratio() - 1.0);
                rows.push(ReportRow::plain(
                    "memory, middle third",
                    format!("{:.2} MiB", mib(trend.middle)),
                ));
                rows.push(ReportRow::plain(
                    "memory, last third",
                    format!("{:.2} MiB", mib(trend.last)),
                ));
                rows.push(ReportRow::plain(
                    "its slope over both",
                    format!("{:+.3} MiB a minute", mib(trend.per_minute)),
                ));
                rows.push(ReportRow::with_target(
                    "last third to middle third",
                    format!("{change:+.1} %"),
                    format!("<= {tolerance} %"),
                    trend.is_flat(tolerance / 100.0),
                ));
            }
        }
        rows.push(ReportRow::drained(&self.start, &self.drained));
        rows
    }
}

/// Each session's two sides come from addresses of their own.
fn sides(n: u64) -> [std::net::Ipv4Addr; 2] {
    [source_address(n * 128), source_address(n * 128 + 64)]
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.05..=24.0 * 60.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes from 0.05 to 1440".to_owned()),
    }
}
