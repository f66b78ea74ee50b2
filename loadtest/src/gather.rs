//! Between latency and processor time: the relay with more and less time to gather packets in.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    drive::{LoadOutcome, LoadProfile, LoadSpec, drive_warm},
    report::{ReportFiles, median},
    subject::{Subject, SubjectConfig, SubjectKind},
};

/// What to try.
#[derive(Debug, Args)]
pub(crate) struct GatherOptions {
    /// Microseconds to gather in; zero is a wake-up for each packet.
    #[arg(long, value_delimiter = ',', default_value = "0,25,50,100,250,500")]
    micros: Vec<u64>,
    /// Packets a second over all sessions.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pps: u64,
    /// Sessions of two legs each.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// Rounds over all of them.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Milliseconds that each takes in each round.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    millis: u64,
    #[command(flatten)]
    files: ReportFiles,
}

/// The relay, and right after it the plain forwarder.
#[derive(Debug, Serialize)]
struct GatherPair {
    micros: u64,
    relay: LoadOutcome,
    recvfrom: LoadOutcome,
}

/// Measures all of them in every round and reports.
pub(crate) fn run(options: &GatherOptions, config: &SubjectConfig) -> Result<()> {
    let measure = |kind, gather| -> Result<LoadOutcome> {
        let mut subject = Subject::start(
            kind,
            &SubjectConfig {
                gather,
                ..config.clone()
            },
        )?;
        subject.connect(options.sessions)?;
        let load = LoadSpec {
            sessions: options.sessions,
            profile: LoadProfile::Paced { pps: options.pps },
            time: Duration::from_millis(options.millis),
        };
        drive_warm(&mut subject, load)
    };
    let mut pairs = Vec::new();
    for _ in 0..options.rounds {
        for &micros in &options.micros {
            pairs.push(GatherPair {
                micros,
                relay: measure(SubjectKind::Relay, Some(micros))?,
                recvfrom: measure(SubjectKind::Recvfrom, None)?,
            });
        }
    }
    let mut table = String::from(
        "| gathering us | relay's p50 us | relay's p99 us | relay's CPU ns/packet | its p50 to recvfrom's | its CPU to recvfrom's |\n|--:|--:|--:|--:|--:|--:|\n",
    );
    for micros in &options.micros {
        let middle = |get: fn(&GatherPair) -> f64| {
            let rounds = pairs.iter().filter(|pair| pair.micros == *micros);
            median(rounds.map(get).collect())
        };
        table += &format!(
            "| {micros} | {:.1} | {:.1} | {:.0} | {:.2} | {:.2} |\n",
            middle(|pair| pair.relay.p50_us),
            middle(|pair| pair.relay.p99_us),
            middle(|pair| pair.relay.cpu_ns),
            middle(|pair| pair.relay.p50_us / pair.recvfrom.p50_us),
            middle(|pair| pair.relay.cpu_ns / pair.recvfrom.cpu_ns),
        );
    }
    options.files.publish(&table, &pairs)
}
