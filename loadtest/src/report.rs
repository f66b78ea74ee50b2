//! Medians, ratios pair by pair, and the table that people read.

use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    drive::{LoadOutcome, LoadProfile},
    measurement::Measurement,
    subject::SubjectKind,
};

/// Where results go.
#[derive(Debug, Args)]
pub(crate) struct ReportFiles {
    /// Where the numbers go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the table goes, as Markdown; always printed, too.
    #[arg(long)]
    table: Option<PathBuf>,
}

impl ReportFiles {
    /// Prints the table, and writes what was asked for.
    pub(crate) fn publish(&self, table: &str, numbers: &impl Serialize) -> Result<()> {
        print!("{table}");
        if let Some(path) = &self.table {
            std::fs::write(path, table)?;
        }
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(numbers)?)?;
        }
        Ok(())
    }
}

/// One Markdown table with a row for each load profile and server.
pub(crate) fn table(
    measurements: &[Measurement],
    profiles: &[LoadProfile],
    kinds: &[SubjectKind],
) -> String {
    let mut out = String::from(
        "| dose | server | packets/s | loss % | p50 us | p99 us | CPU ns/packet \
         | relay's CPU to it (min..max) | relay's p50 to it |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for &profile in profiles {
        for &kind in kinds {
            let of = |kind: SubjectKind| -> Vec<&LoadOutcome> {
                let fits = |m: &&Measurement| m.kind == kind && m.profile == profile;
                let mut rounds: Vec<_> = measurements.iter().filter(fits).collect();
                rounds.sort_by_key(|m| m.round);
                rounds.iter().map(|m| &m.outcome).collect()
            };
            let (own, relay) = (of(kind), of(SubjectKind::Relay));
            let middle =
                |get: fn(&LoadOutcome) -> f64| median(own.iter().map(|o| get(o)).collect());
            let ratios = |get: fn(&LoadOutcome) -> f64| -> Vec<f64> {
                std::iter::zip(&relay, &own)
                    .map(|(relay, own)| get(relay) / get(own))
                    .collect()
            };
            let cpu = ratios(|o| o.cpu_ns);
            let (low, high) = cpu.iter().fold((f64::MAX, f64::MIN), |(low, high), ratio| {
                (low.min(*ratio), high.max(*ratio))
            });
            let _ = writeln!(
                out,
                "| {} | {kind:?} | {:.0} | {:.3} | {:.1} | {:.1} | {:.0} | {} | {} |",
                profile,
                middle(|o| o.pps),
                middle(
                    |o| 100.0 * (o.sent.saturating_sub(o.received)) as f64 / o.sent.max(1) as f64
                ),
                middle(|o| o.p50_us),
                middle(|o| o.p99_us),
                middle(|o| o.cpu_ns),
                if relay.is_empty() {
                    "-".to_owned()
                } else {
                    format!("{:.2} ({low:.2}..{high:.2})", median(cpu.clone()))
                },
                if relay.is_empty() {
                    "-".to_owned()
                } else {
                    format!("{:.2}", median(ratios(|o| o.p50_us)))
                },
            );
        }
    }
    out
}

/// The middle value, or the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(vec![9.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
    }
}
