//! What the load's table says.

use serde::Serialize;

use super::LoadOptions;
use crate::{
    node::{ReportRow, mib, plan::LoadPlan},
    proc::ProcessUsage,
};

/// What was held, and what it took.
#[derive(Debug, Serialize)]
pub(super) struct LoadReport {
    pub(super) tls: bool,
    pub(super) wanted: LoadPlan,
    pub(super) held: LoadPlan,
    pub(super) descriptor_limit: u64,
    pub(super) empty: ProcessUsage,
    pub(super) with_sessions: ProcessUsage,
    pub(super) with_all: ProcessUsage,
    pub(super) after_claims: ProcessUsage,
    pub(super) drained: ProcessUsage,
    pub(super) cpu_standing_percent: f64,
    pub(super) cpu_claims_percent: f64,
    pub(super) kib_per_host: f64,
    pub(super) kib_per_slow: f64,
    pub(super) kib_per_socket: f64,
    pub(super) claims: u64,
    pub(super) failed_claims: u64,
    pub(super) first_failure: Option<String>,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    pub(super) silent_ended: u64,
    pub(super) silent_endured: u64,
    pub(super) lost_sockets: u64,
}

impl LoadReport {
    /// The table's rows, with the targets of these options.
    pub(super) fn rows(&self, options: &LoadOptions) -> Vec<ReportRow> {
        let held = &self.held;
        let scaled = |held: u64, wanted: u64| {
            if held == wanted {
                held.to_string()
            } else {
                format!("{held} of {wanted}")
            }
        };
        let memory = |usage: &ProcessUsage| format!("{:.1} MiB", mib(usage.rss));
        let first = self.first_failure.as_deref();
        vec![
            ReportRow::plain("HTTP", if self.tls { "in TLS" } else { "plain" }),
            ReportRow::plain(
                "registered sessions with their host's socket",
                scaled(held.sessions, self.wanted.sessions),
            ),
            ReportRow::plain("slow sockets", scaled(held.slow, self.wanted.slow)),
            ReportRow::plain(
                "descriptors that one process may have here",
                self.descriptor_limit,
            ),
            ReportRow::plain("silent sockets at any time", held.silent),
            ReportRow::plain("silent sockets that the server ended", self.silent_ended),
            ReportRow::with_target(
                "silent sockets that it endured for 9 s",
                self.silent_endured,
                0,
                self.silent_endured == 0,
            ),
            ReportRow::with_target("sockets lost", self.lost_sockets, 0, self.lost_sockets == 0),
            ReportRow::plain("memory when empty", memory(&self.empty)),
            ReportRow::plain("memory with the sessions", memory(&self.with_sessions)),
            ReportRow::plain("memory with all sockets", memory(&self.with_all)),
            ReportRow::plain("memory after the claims", memory(&self.after_claims)),
            ReportRow::plain(
                "a session and its host's socket",
                format!("{:.1} KiB", self.kib_per_host),
            ),
            ReportRow::plain(
                "a slow socket and half its session",
                format!("{:.1} KiB", self.kib_per_slow),
            ),
            ReportRow::with_target(
                "a socket, over all",
                format!("{:.1} KiB", self.kib_per_socket),
                format!("<= {} KiB", options.kib),
                self.kib_per_socket <= options.kib,
            ),
            ReportRow::plain(
                "processor while all only stand open",
                format!("{:.1} %", self.cpu_standing_percent),
            ),
            ReportRow::plain(
                "processor during the claims",
                format!("{:.1} %", self.cpu_claims_percent),
            ),
            ReportRow::plain(
                "claims",
                format!("{} at {} a second", self.claims, options.claims),
            ),
            ReportRow::failures("claims failed", self.failed_claims, first),
            ReportRow::plain("claim p50", format!("{:.1} ms", self.p50_ms)),
            ReportRow::with_target(
                "claim p99",
                format!("{:.1} ms", self.p99_ms),
                format!("< {} ms", options.p99_ms),
                self.p99_ms < options.p99_ms,
            ),
            ReportRow::plain("claim max", format!("{:.1} ms", self.max_ms)),
            ReportRow::drained(&self.empty, &self.drained),
        ]
    }
}
