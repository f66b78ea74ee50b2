//! What Linux tells of a process (proc(5)).

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// What a process holds and has spent.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct ProcessUsage {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processor time of all its threads so far.
    pub cpu: Duration,
}

/// Looks at a process.
///
/// # Errors
/// When it has gone.
pub(crate) fn usage(pid: u32) -> Result<ProcessUsage> {
    Ok(ProcessUsage {
        rss: rss(pid)?,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        cpu: cpu(pid)?,
    })
}

/// Processor time of all a process's threads so far.
///
/// # Errors
/// When it has gone.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let running = stat.split_whitespace().next().context("empty schedstat")?;
        total += running.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// A process's resident memory, in bytes.
///
/// # Errors
/// When it has gone.
pub(crate) fn rss(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_something() {
        let usage = usage(std::process::id()).unwrap();

        assert!(usage.rss > 1 << 20 && usage.descriptors >= 3, "{usage:?}");
    }
}
