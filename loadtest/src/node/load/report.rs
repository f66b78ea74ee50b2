//! What the load's table says.

use serde::Serialize;

use super::Options;
use crate::{
    node::{Row, mib, plan::Plan},
    proc::Usage,
};

/// What was held, and what it took.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) tls: bool,
    pub(super) wanted: Plan,
    pub(super) held: Plan,
    pub(super) descriptor_limit: u64,
    pub(super) empty: Usage,
    pub(super) with_sessions: Usage,
    pub(super) with_all: Usage,
    pub(super) after_claims: Usage,
    pub(super) drained: Usage,
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

impl Report {
    /// The table's rows, with the targets of these options.
    pub(super) fn rows(&self, options: &Options) -> Vec<Row> {
        let held = &self.held;
        let scaled = |held: u64, wanted: u64| match held == wanted {
            true => held.to_string(),
            false => format!("{held} of {wanted}"),
        };
        let memory = |usage: &Usage| format!("{:.1} MiB", mib(usage.rss));
        let first = self.first_failure.as_deref();
        vec![
            Row::plain("HTTP", if self.tls { "in TLS" } else { "plain" }),
            Row::plain(
                "registered sessions with their host's socket",
                scaled(held.sessions, self.wanted.sessions),
            ),
            Row::plain("slow sockets", scaled(held.slow, self.wanted.slow)),
            Row::plain(
                "descriptors that one process may have here",
                self.descriptor_limit,
            ),
            Row::plain("silent sockets at any time", held.silent),
            Row::plain("silent sockets that the server ended", self.silent_ended),
            Row::judged(
                "silent sockets that it endured for 9 s",
                self.silent_endured,
                0,
                self.silent_endured == 0,
            ),
            Row::judged("sockets lost", self.lost_sockets, 0, self.lost_sockets == 0),
            Row::plain("memory when empty", memory(&self.empty)),
            Row::plain("memory with the sessions", memory(&self.with_sessions)),
            Row::plain("memory with all sockets", memory(&self.with_all)),
            Row::plain("memory after the claims", memory(&self.after_claims)),
            Row::plain(
                "a session and its host's socket",
                format!("{:.1} KiB", self.kib_per_host),
            ),
            Row::plain(
                "a slow socket and half its session",
                format!("{:.1} KiB", self.kib_per_slow),
            ),
            Row::judged(
                "a socket, over all",
                format!("{:.1} KiB", self.kib_per_socket),
                format!("<= {} KiB", options.kib),
                self.kib_per_socket <= options.kib,
            ),
            Row::plain(
                "processor while all only stand open",
                format!("{:.1} %", self.cpu_standing_percent),
            ),
            Row::plain(
                "processor during the claims",
                format!("{:.1} %", self.cpu_claims_percent),
            ),
            Row::plain(
                "claims",
                format!("{} at {} a second", self.claims, options.claims),
            ),
            Row::failures("claims failed", self.failed_claims, first),
            Row::plain("claim p50", format!("{:.1} ms", self.p50_ms)),
            Row::judged(
                "claim p99",
                format!("{:.1} ms", self.p99_ms),
                format!("< {} ms", options.p99_ms),
                self.p99_ms < options.p99_ms,
            ),
            Row::plain("claim max", format!("{:.1} ms", self.max_ms)),
            Row::drained(&self.empty, &self.drained),
        ]
    }
}
