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

use crate::proc::Usage;
pub use load::{Options as LoadOptions, run as load};
pub use server::binary;
pub use soak::{Options as SoakOptions, run as soak};

/// Where the server is, and where the numbers go.
#[derive(Debug, Args)]
pub struct Place {
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

impl Place {
    fn binary(&self) -> Result<PathBuf> {
        binary(self.authloop.as_deref())
    }

    fn publish(&self, report: &impl Serialize, rows: &[Row]) -> Result<()> {
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
struct Row {
    what: &'static str,
    measured: String,
    target: Option<(String, bool)>,
}

impl Row {
    fn plain(what: &'static str, measured: impl ToString) -> Self {
        Self {
            what,
            measured: measured.to_string(),
            target: None,
        }
    }

    fn judged(
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
        Self::judged(what, measured, 0, count == 0)
    }

    /// No descriptor stays open.
    fn drained(before: &Usage, after: &Usage) -> Self {
        Self::judged(
            "descriptors after all have left",
            after.descriptors,
            format!("<= {}", before.descriptors),
            after.descriptors <= before.descriptors,
        )
    }

    fn is_missed(&self) -> bool {
        matches!(self.target, Some((_, false)))
    }
}

fn table(rows: &[Row]) -> String {
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
fn verdict(rows: &[Row]) -> Result<()> {
    let missed: Vec<_> = rows.iter().filter(|row| row.is_missed()).collect();
    let missed: Vec<_> = missed.iter().map(|row| row.what).collect();
    anyhow::ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// Raises this process's limit of descriptors, which the server inherits, as far as is allowed;
/// says where it stands.
fn raise_descriptors(wanted: u64) -> u64 {
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
            Row::plain("sockets", 3),
            Row::judged("claim p99", "7 ms", "< 500 ms", true),
            Row::judged("lost sockets", 2, 0, false),
        ];

        let error = verdict(&rows).unwrap_err().to_string();

        assert_eq!(error, "missed: lost sockets");
        assert!(table(&rows).contains("| lost sockets | 2 | 0 | **no** |"));
        assert!(verdict(&rows[..2]).is_ok());
    }
}
