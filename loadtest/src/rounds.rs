//! Interleaved rounds over all servers, and the ratios between them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::drive::{Dose, Load, Outcome, drive};
use crate::report::{self, Files};
use crate::subject::{Bench, Kind, Subject};

/// How long a server warms up before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// What to compare, and for how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Servers to drive; ratios are the relay's to each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "relay,recvfrom,sendmmsg,coturn,turn-server"
    )]
    kinds: Vec<Kind>,
    /// Doses: `saturated`, or packets a second.
    #[arg(long, value_delimiter = ',', default_value = "saturated,500,20000", value_parser = dose)]
    doses: Vec<Dose>,
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
    files: Files,
}

/// One server under one dose in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// Counted from zero.
    pub round: u32,
    /// Which server.
    pub kind: Kind,
    /// Which dose.
    pub dose: Dose,
    /// What came of it.
    pub outcome: Outcome,
}

/// Runs all rounds and reports.
pub fn run(options: &Options, bench: &Bench) -> Result<()> {
    let steps = options.rounds as usize * options.kinds.len() * options.doses.len();
    let bar = ProgressBar::new(steps as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} {msg} ({eta} left)",
    )?);
    let mut measurements = Vec::with_capacity(steps);
    for round in 0..options.rounds {
        // Every server takes each place in the order, so that none always follows the heaviest.
        let mut kinds = options.kinds.clone();
        kinds.rotate_left(round as usize % options.kinds.len());
        for kind in kinds {
            let mut subject = Subject::start(kind, bench)?;
            subject
                .connect(options.sessions)
                .with_context(|| format!("connecting {kind:?}"))?;
            for &dose in &options.doses {
                bar.set_message(format!(
                    "round {} {kind:?} {}",
                    round + 1,
                    report::name(dose)
                ));
                let load = |time| Load {
                    sessions: options.sessions,
                    dose,
                    time,
                };
                drive(&mut subject, load(WARM_UP))?;
                let outcome = drive(&mut subject, load(Duration::from_millis(options.millis)))?;
                measurements.push(Measurement {
                    round,
                    kind,
                    dose,
                    outcome,
                });
                bar.inc(1);
            }
            if std::env::var_os("AUTHLOOP_LOADTEST_STATS").is_some() && kind == Kind::Relay {
                bar.println(subject.stats()?);
            }
        }
    }
    bar.finish_and_clear();
    let table = report::table(&measurements, &options.doses, &options.kinds);
    options.files.publish(&table, &measurements)
}

fn dose(text: &str) -> Result<Dose> {
    match text {
        "saturated" => Ok(Dose::Saturated { window: 256 }),
        pps => match pps.parse()? {
            pps @ 1..=1_000_000 => Ok(Dose::Paced { pps }),
            _ => bail!("a dose is at most a million packets a second"),
        },
    }
}
