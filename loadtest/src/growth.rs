//! Cost per packet and memory as sessions grow.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    drive::{LoadProfile, LoadSpec, drive_warm},
    report::{ReportFiles, median},
    subject::{Subject, SubjectConfig, SubjectKind},
};

/// How far to grow.
#[derive(Debug, Args)]
pub(crate) struct GrowthOptions {
    /// Session counts to measure.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,10000")]
    sessions: Vec<u32>,
    /// Packets a second over all sessions.
    #[arg(long, default_value_t = 20_000)]
    pps: u64,
    /// Rounds over all counts.
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// Milliseconds for each count in each round.
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    #[command(flatten)]
    files: ReportFiles,
}

#[derive(Debug, Serialize)]
struct GrowthRow {
    sessions: u32,
    cpu_ns: f64,
    floor_cpu_ns: f64,
    bytes_per_session: f64,
}

/// Measures every count in every round, the relay beside the sendmmsg floor.
pub(crate) fn run(options: &GrowthOptions, config: &SubjectConfig) -> Result<()> {
    let mut rows = Vec::new();
    for &sessions in &options.sessions {
        let sessions = sessions.clamp(1, 10_000);
        let (mut relay, mut floor, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds.min(100) {
            for (kind, costs) in [
                (SubjectKind::Relay, &mut relay),
                (SubjectKind::Sendmmsg, &mut floor),
            ] {
                let mut subject = Subject::start(kind, config)?;
                let before = subject.rss()?;
                subject.connect(sessions)?;
                if kind == SubjectKind::Relay {
                    let grown = subject.rss()?.saturating_sub(before);
                    bytes.push(grown as f64 / f64::from(sessions));
                }
                let load = LoadSpec {
                    sessions,
                    profile: LoadProfile::Paced {
                        pps: options.pps.min(1_000_000),
                    },
                    time: Duration::from_millis(options.millis.min(60_000)),
                };
                costs.push(drive_warm(&mut subject, load)?.cpu_ns);
            }
        }
        rows.push(GrowthRow {
            sessions,
            cpu_ns: median(relay),
            floor_cpu_ns: median(floor),
            bytes_per_session: median(bytes),
        });
    }
    let mut table = String::from(
        "| sessions | relay CPU ns/packet | sendmmsg CPU ns/packet | relay's to it | relay bytes/session |\n|--:|--:|--:|--:|--:|\n",
    );
    for row in &rows {
        let GrowthRow {
            sessions,
            cpu_ns,
            floor_cpu_ns,
            bytes_per_session,
        } = row;
        let ratio = cpu_ns / floor_cpu_ns;
        table += &format!(
            "| {sessions} | {cpu_ns:.0} | {floor_cpu_ns:.0} | {ratio:.2} | {bytes_per_session:.0} |\n"
        );
    }
    options.files.publish(&table, &rows)
}
