//! One server under many sessions and sockets: the real binary, driven as hosts and viewers do.

mod client;
mod load;
mod plan;
mod script;
mod server;
mod slow;
mod soak;
mod trend;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::proc::ProcessUsage;

pub(crate) use load::{LoadOptions, run as load};
pub(crate) use server::binary;
pub(crate) use soak::{SoakOptions, run as soak};

/// Arguments that `load` and `soak` share: where the server is, and where the numbers go.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The server's binary [default: `authloop` beside this one].
    #[arg(long)]
    authloop: Option<PathBuf>,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the table goes, as Markdown; always printed, too.
    #[arg(long)]
    table: Option<PathBuf>,
}

impl NodeArgs {
    fn binary(&self) -> Result<PathBuf> {
        binary(self.authloop.as_deref())
    }

    fn publish(&self, report: &impl Serialize, rows: &[ReportRow]) -> Result<()> {
        let table = table(rows);
        print!("{table}");
        if let Some(path) = &self.table {
            std::fs::write(path, table).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(report)?;
            std::fs::write(path, json).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// One line of a report: what was measured, and what it should be.
struct ReportRow {
    what: &'static str,
    measured: String,
    target: Option<(String, bool)>,
}

impl ReportRow {
    fn plain(what: &'static str, measured: impl ToString) -> Self {
        Self {
            what,
            measured: measured.to_string(),
            target: None,
        }
    }

    fn with_target(
        what: &'static str,
        measured: impl ToString,
        target: impl ToString,
        met: bool,
    ) -> Self {
        Self {
            target: Some((target.to_string(), met)),
            ..Self::plain(what, measured)
        }
    }

    /// So many of something failed, of which there should be none.
    fn failures(what: &'static str, count: u64, first: Option<&str>) -> Self {
        let measured = match first {
            None => count.to_string(),
            Some(first) => format!("{count} ({first})"),
        };
        Self::with_target(what, measured, 0, count == 0)
    }

    /// No descriptor stays open.
    fn drained(before: &ProcessUsage, after: &ProcessUsage) -> Self {
        Self::with_target(
            "descriptors after all have left",
            after.descriptors,
            format!("<= {}", before.descriptors),
            after.descriptors <= before.descriptors,
        )
    }

    fn misses_target(&self) -> bool {
        matches!(self.target, Some((_, false)))
    }
}

fn table(rows: &[ReportRow]) -> String {
    let mut out = String::from("| what | measured | target | met |\n|---|--:|--:|---|\n");
    for row in rows {
        let (target, met) = match &row.target {
            None => ("", ""),
            Some((target, met)) => (target.as_str(), if *met { "yes" } else { "**no**" }),
        };
        out += &format!("| {} | {} | {target} | {met} |\n", row.what, row.measured);
    }
    out
}

/// Fails with the names of all that missed its target.
fn check_targets(rows: &[ReportRow]) -> Result<()> {
    let missed: Vec<_> = rows.iter().filter(|row| row.misses_target()).collect();
    let missed: Vec<_> = missed.iter().map(|row| row.what).collect();
    anyhow::ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// Raises this process's limit of descriptors, which the server inherits, as far as is allowed;
/// says where it stands.
fn raise_descriptor_limit(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let hard = now.maximum.map_or(wanted, |hard| hard.max(wanted));
    for limit in [hard, now.maximum.unwrap_or(hard)] {
        let limit = Some(limit);
        let raised = Rlimit {
            current: limit,
            maximum: limit,
        };
        // To raise the hard limit needs a privilege; the soft one alone may do.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_named_and_shown() {
        let rows = [
            ReportRow::plain("sockets", 3),
            ReportRow::with_target("claim p99", "7 ms", "< 500 ms", true),
            ReportRow::with_target("lost sockets", 2, 0, false),
        ];

        let error = check_targets(&rows).unwrap_err().to_string();

        assert_eq!(error, "missed: lost sockets");
        assert!(table(&rows).contains("| lost sockets | 2 | 0 | **no** |"));
        assert!(check_targets(&rows[..2]).is_ok());
    }
}
