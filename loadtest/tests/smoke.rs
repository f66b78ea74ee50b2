//! Each way of loading the real server, for a few seconds and few sessions: that it works, and that
//! it can fail.
//!
//! The server is the binary that cargo builds beside this one: `cargo test --workspace` does, and
//! `cargo build --bin authloop`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the tool and reads the numbers it writes.
fn run(arguments: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_authloop-loadtest"))
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let report = std::fs::read(&json).unwrap_or_default();
    let report = serde_json::from_slice(&report).unwrap_or_default();
    (output, report)
}

#[test]
fn load_holds_what_it_says_and_leaves_nothing() {
    // So few sockets share what the server takes once, and a debug build is slow.
    let load = "load --tls --sessions 20 --slow 20 --silent 4 --claims 10 --seconds 1 --settle 0 \
                --pause 5 --kib 4096 --p99-ms 20000";

    let (output, report) = run(&load.split_whitespace().collect::<Vec<_>>());

    assert!(output.status.success(), "{output:?}");
    assert_eq!(report["held"]["sessions"], 20);
    assert_eq!(report["held"]["slow"], 20);
    assert_eq!(report["claims"], 10);
    assert_eq!(report["lost_sockets"], 0);
    let descriptors = |of: &str| report[of]["descriptors"].as_u64().unwrap();
    assert!(
        descriptors("with_all") >= descriptors("empty") + 40,
        "{report}"
    );
    assert!(descriptors("drained") <= descriptors("empty"), "{report}");
}

#[test]
fn load_fails_on_a_target_that_is_missed() {
    let load = "load --sessions 2 --slow 0 --silent 0 --claims 2 --seconds 1 --settle 0 --kib 0";

    let (output, report) = run(&load.split(' ').collect::<Vec<_>>());

    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("missed: a socket, over all"), "{said}");
    assert_eq!(report["claims"], 2);
}

#[test]
fn soak_plays_every_ending_and_leaves_nothing() {
    // Memory has no trend in so short a time.
    let soak = "soak --minutes 0.05 --rate 600 --hold 0 --tolerance 1000";

    let (output, report) = run(&soak.split(' ').collect::<Vec<_>>());

    assert!(output.status.success(), "{output:?}");
    assert_eq!(report["sessions"], 30);
    assert_eq!(report["failed"], 0);
    let endings: Vec<_> = report["endings"].as_object().unwrap().keys().collect();
    let every = [
        "declined",
        "expired",
        "failed",
        "resolved",
        "unclaimed",
        "vanished",
    ];
    assert_eq!(endings, every);
}

#[test]
fn the_relay_is_measured_beside_its_floor() {
    let compare = "compare --kinds relay,sendmmsg --doses 500 --sessions 5 --rounds 1 --millis 300";

    let (output, report) = run(&compare.split(' ').collect::<Vec<_>>());

    assert!(output.status.success(), "{output:?}");
    let measurements = report.as_array().unwrap();
    let kinds: Vec<_> = measurements.iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["relay", "sendmmsg"]);
    let arrived = |one: &Value| one["outcome"]["received"].as_u64().unwrap();
    assert!(
        measurements.iter().all(|one| arrived(one) > 100),
        "{report}"
    );
}
