//! Interleaved rounds over all servers, and the ratios between them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    drive::{LoadProfile, LoadSpec, drive},
    measurement::Measurement,
    report::{self, ReportFiles},
    subject::{Subject, SubjectConfig, SubjectKind},
};

/// How long a server warms up before it is measured.
const WARM_UP_TIME: Duration = Duration::from_millis(300);

/// What to compare, and for how long.
#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// Servers to drive; ratios are the relay's to each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "relay,recvfrom,sendmmsg,coturn,turn-server"
    )]
    kinds: Vec<SubjectKind>,
    /// Doses: `saturated`, or packets a second.
    #[arg(long = "doses", value_name = "DOSES", value_delimiter = ',', default_value = "saturated,500,20000", value_parser = parse_profile)]
    profiles: Vec<LoadProfile>,
    /// Sessions of two legs each.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// Rounds over all servers.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Milliseconds that each dose takes in each round.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    millis: u64,
    #[command(flatten)]
    files: ReportFiles,
}

/// Runs all rounds and reports.
pub(crate) fn run(options: &CompareOptions, config: &SubjectConfig) -> Result<()> {
    let steps = options.rounds as usize * options.kinds.len() * options.profiles.len();
    let bar = ProgressBar::new(steps as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} {msg} ({eta} left)",
    )?);
    let mut measurements = Vec::with_capacity(steps);
    for round in 0..options.rounds {
        // Every server takes each place in the order, so that none always follows the heaviest.
        let mut kinds = options.kinds.clone();
        kinds.rotate_left(round as usize % options.kinds.len());
        for kind in kinds {
            let mut subject = Subject::start(kind, config)?;
            subject
                .connect(options.sessions)
                .with_context(|| format!("connecting {kind:?}"))?;
            for &profile in &options.profiles {
                bar.set_message(format!("round {} {kind:?} {}", round + 1, profile));
                let load = |time| LoadSpec {
                    sessions: options.sessions,
                    profile,
                    time,
                };
                drive(&mut subject, load(WARM_UP_TIME))?;
                let outcome = drive(&mut subject, load(Duration::from_millis(options.millis)))?;
                measurements.push(Measurement {
                    round,
                    kind,
                    profile,
                    outcome,
                });
                bar.inc(1);
            }
            if std::env::var_os("AUTHLOOP_LOADTEST_STATS").is_some() && kind == SubjectKind::Relay {
                bar.println(subject.stats()?);
            }
        }
    }
    bar.finish_and_clear();
    let table = report::table(&measurements, &options.profiles, &options.kinds);
    options.files.publish(&table, &measurements)
}

fn parse_profile(text: &str) -> Result<LoadProfile> {
    match text {
        "saturated" => Ok(LoadProfile::Saturated { window: 256 }),
        pps => match pps.parse()? {
            pps @ 1..=1_000_000 => Ok(LoadProfile::Paced { pps }),
            _ => bail!("a dose is at most a million packets a second"),
        },
    }
}
