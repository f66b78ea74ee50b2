//! The writer: nobody waits for it, and nothing goes missing unseen.

use std::{fs, time::Instant};

use authloop_protocol::{id::SessionId, signal::Outcome};
use verify::AuditVerdict;

use super::*;

const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn settings(folder: &tempfile::TempDir) -> AuditSettings {
    AuditSettings {
        file: folder.path().join("audit.jsonl"),
        retention: Some(time::Duration::days(30)),
    }
}

fn ended(n: u8) -> AuditEvent {
    AuditEvent::SessionEnded {
        session: SessionId([n; 16]),
        outcome: Outcome::Resolved,
    }
}

fn events(settings: &AuditSettings) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(&settings.file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn eventually(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < TEST_TIMEOUT, "it never came to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_reported_is_on_the_disk_once_the_log_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let log = AuditLog::open(&settings).unwrap();
    log.record_server(ServerEvent::ServerStarted { version: "1" });
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let log = log.clone();
            std::thread::spawn(move || (0..250).for_each(|_| log.record_signaling(ended(n))))
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    log.close();

    let lines = events(&settings);
    assert_eq!(lines.len(), 1002);
    assert_eq!(lines[1]["event"], "server_started");
    assert_eq!(lines[2]["event"], "session_ended");
    assert_eq!(lines[2]["outcome"], "resolved");
    let AuditVerdict::Good { head, .. } = verify::verify(&[settings.file], None).unwrap() else {
        panic!("not good");
    };
    assert_eq!(head, log.chain().head);
    assert_eq!((log.stats().lines, log.stats().lost), (1001, 0));
}

#[test]
fn refusals_that_anyone_can_cause_are_bounded_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let log = AuditLog::open(&settings).unwrap();
    for _ in 0..1000 {
        log.record_signaling(AuditEvent::RegistrationRefused {
            key: None,
            code: "unauthorized",
        });
    }
    log.record_signaling(ended(1));
    log.close();

    let lines = events(&settings);
    let of = |name: &str| lines.iter().filter(|line| line["event"] == name).count();
    let kept = of("registration_refused");
    assert!((20..100).contains(&kept), "{kept}");
    assert_eq!(of("session_ended"), 1);
    let omitted = lines
        .iter()
        .filter(|line| line["event"] == "refusals_omitted");
    let omitted: u64 = omitted.map(|line| line["count"].as_u64().unwrap()).sum();
    assert_eq!(omitted, 1000 - kept as u64);
    assert_eq!(log.stats().omitted, omitted);
}

#[test]
fn while_the_disk_fails_events_wait_and_those_that_find_no_room_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut segments = Segments::open(&settings.file, None, MAX_SEGMENT_BYTES, now()).unwrap();
    let disk = Arc::new(AtomicBool::new(false));
    segments.fail_until(disk.clone());
    let log = AuditLog::with_segments(segments, 4).unwrap();

    log.record_signaling(ended(0));
    eventually(|| log.stats().failing);
    for n in 0..200 {
        for _ in 0..10 {
            log.record_signaling(ended(n));
        }
    }
    assert!(log.stats().lost > 0 && log.stats().lines == 0);
    disk.store(true, Ordering::Relaxed);
    eventually(|| !log.stats().failing);
    log.close();

    let lines = events(&settings);
    let of = |name: &str| lines.iter().filter(|line| line["event"] == name).count() as u64;
    let lost = lines.iter().filter(|line| line["event"] == "events_lost");
    let lost: u64 = lost.map(|line| line["count"].as_u64().unwrap()).sum();
    assert_eq!(of("session_ended") + lost, 2001);
    assert_eq!(lost, log.stats().lost);
    assert!(log.stats().write_failures > 0);
    let verdict = verify::verify(&[settings.file], None).unwrap();
    assert!(matches!(verdict, AuditVerdict::Good { .. }), "{verdict:?}");
}

#[test]
fn a_head_that_was_noted_is_found_while_its_line_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let log = AuditLog::open(&settings).unwrap();
    log.record_signaling(ended(1));
    eventually(|| log.stats().lines == 1);
    let noted = log.chain().head;
    log.record_signaling(ended(2));
    log.close();
    let files = [settings.file.clone()];
    let verdict = verify::verify(&files, Some(noted)).unwrap();
    assert!(
        matches!(verdict, AuditVerdict::Good { lines: 3, .. }),
        "{verdict:?}"
    );

    // The whole chain anew, which is good in itself.
    fs::remove_file(&settings.file).unwrap();
    let log = AuditLog::open(&settings).unwrap();
    log.record_signaling(ended(3));
    log.close();
    let verdict = verify::verify(&files, Some(noted)).unwrap();
    assert!(
        matches!(verdict, AuditVerdict::OtherHead { .. }),
        "{verdict:?}"
    );
}
