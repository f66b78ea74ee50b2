//! Crashes, rotation, retention, and who may write and read.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::*;
use crate::audit::verify::{self, AuditVerdict};

const DAY: Duration = Duration::DAY;

fn noon() -> OffsetDateTime {
    OffsetDateTime::parse("2026-11-25T12:00:00Z", &Rfc3339).unwrap()
}

fn event(n: usize) -> serde_json::Value {
    json!({ "event": "session_claimed", "session": n })
}

struct Log {
    folder: tempfile::TempDir,
    keep: Option<Duration>,
    size: u64,
}

impl Log {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            keep: None,
            size: MAX_SEGMENT_BYTES,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn open(&self, now: OffsetDateTime) -> Segments {
        Segments::open(&self.path(), self.keep, self.size, now).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let older = older_segments(&self.path()).unwrap().into_iter();
        older.map(|(_, path)| path).chain([self.path()]).collect()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn verify(&self) -> AuditVerdict {
        verify::verify(&self.files(), None).unwrap()
    }

    fn events(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["event"].as_str().unwrap().to_owned()
        });
        lines.collect()
    }
}

#[test]
fn a_log_is_for_its_user_only_and_goes_on_where_it_ended() {
    let log = Log::new();
    let mut open = log.open(noon());
    open.append(&[(noon(), event(1))], noon()).unwrap();
    let head = open.chain();
    let other = Segments::open(&log.path(), None, MAX_SEGMENT_BYTES, noon()).unwrap_err();
    assert!(other.to_string().contains("another process"), "{other}");
    drop(open);
    assert_eq!(fs::metadata(log.path()).unwrap().mode() & 0o777, 0o600);

    let mut open = log.open(noon());
    assert_eq!(open.chain(), head);
    open.append(&[(noon(), event(2))], noon()).unwrap();

    assert_eq!(
        log.events(),
        ["segment_started", "session_claimed", "session_claimed"]
    );
    let AuditVerdict::Good { lines, head, .. } = log.verify() else {
        panic!("{:?}", log.verify());
    };
    assert_eq!((lines, head), (3, open.chain().head));
    assert!(
        log.text().contains(r#""time":"2026-11-25T12:00:00Z""#),
        "{}",
        log.text()
    );
}

#[test]
fn a_torn_last_line_is_cut_and_told_of() {
    let log = Log::new();
    log.open(noon())
        .append(&[(noon(), event(1))], noon())
        .unwrap();
    let whole = log.text();
    let torn = &whole.lines().last().unwrap()[..40];
    fs::write(log.path(), format!("{whole}{torn}")).unwrap();
    assert!(matches!(
        log.verify(),
        AuditVerdict::Bad {
            line: 3,
            flaw: LineFlaw::Torn,
            ..
        }
    ));

    drop(log.open(noon()));

    assert_eq!(log.events()[2], "torn_line_cut");
    let note: serde_json::Value = serde_json::from_str(log.text().lines().last().unwrap()).unwrap();
    assert_eq!(note["bytes"], 40);
    assert_eq!(note["sha256"], LineHash::of(torn.as_bytes()).to_string());
    assert!(matches!(log.verify(), AuditVerdict::Good { .. }));
}

#[test]
fn a_log_that_was_tampered_with_is_told_of_and_stays_bad() {
    let log = Log::new();
    let mut open = log.open(noon());
    open.append(&[(noon(), event(1)), (noon(), event(2))], noon())
        .unwrap();
    drop(open);
    fs::write(
        log.path(),
        log.text().replace("\"session\":1", "\"session\":7"),
    )
    .unwrap();

    log.open(noon())
        .append(&[(noon(), event(3))], noon())
        .unwrap();

    assert_eq!(log.events()[3], "damage_found");
    assert!(matches!(
        log.verify(),
        AuditVerdict::Bad {
            line: 2,
            flaw: LineFlaw::Hash,
            ..
        }
    ));
}

#[test]
fn each_day_and_each_size_has_a_segment_and_all_are_one_chain() {
    let mut log = Log::new();
    log.size = 600;
    let mut open = log.open(noon());
    for n in 0..8 {
        open.append(&[(noon(), event(n))], noon()).unwrap();
    }
    let full = log.files().len();
    assert!(full > 2, "{full}");
    open.append(&[(noon() + DAY, event(8))], noon() + DAY)
        .unwrap();
    assert_eq!(log.files().len(), full + 1);
    drop(open);
    log.open(noon() + DAY)
        .append(&[(noon() + DAY, event(9))], noon() + DAY)
        .unwrap();

    let mut shuffled = log.files();
    shuffled.reverse();
    let verdict = verify::verify(&shuffled, None).unwrap();
    assert!(
        matches!(verdict, AuditVerdict::Good { first: 1, .. }),
        "{verdict:?}"
    );
    let gap = [log.files()[0].clone(), log.files()[2].clone()];
    let verdict = verify::verify(&gap, None).unwrap();
    assert!(
        matches!(verdict, AuditVerdict::Bad { line: 1, .. }),
        "{verdict:?}"
    );
}

#[test]
fn what_is_kept_long_enough_is_dropped_and_the_rest_still_verifies() {
    let mut log = Log::new();
    log.keep = Some(2 * DAY);
    let mut open = log.open(noon());
    for days in 0..6 {
        let now = noon() + DAY * days;
        open.append(&[(now, event(1))], now).unwrap();
    }

    assert_eq!(log.files().len(), 3);
    assert!(log.events().contains(&"segments_dropped".to_owned()));
    let verdict = log.verify();
    assert!(
        matches!(verdict, AuditVerdict::Good { first: 7, .. }),
        "{verdict:?}"
    );
}

#[test]
fn oldest_segments_that_somebody_removed_are_missed() {
    let mut log = Log::new();
    let mut open = log.open(noon());
    for days in 0..4 {
        let now = noon() + DAY * days;
        open.append(&[(now, event(1))], now).unwrap();
    }
    drop(open);
    fs::remove_file(&log.files()[0]).unwrap();
    assert_eq!(log.verify(), AuditVerdict::MissingBefore { first: 3 });

    // The log's own word covers what it dropped, and nothing beyond.
    log.keep = Some(2 * DAY);
    let mut open = log.open(noon() + DAY * 3);
    let now = noon() + DAY * 4;
    open.append(&[(now, event(1))], now).unwrap();
    drop(open);
    assert!(matches!(log.verify(), AuditVerdict::Good { first: 5, .. }));
    fs::remove_file(&log.files()[0]).unwrap();
    assert_eq!(log.verify(), AuditVerdict::MissingBefore { first: 7 });
}

#[test]
fn a_rotation_that_was_cut_off_loses_nothing() {
    let log = Log::new();
    log.open(noon())
        .append(&[(noon(), event(1))], noon())
        .unwrap();
    // As if the process had ended between the two: renamed, and no or an empty new segment.
    for leave_empty in [false, true] {
        let first = log.open(noon()).first;
        fs::rename(log.path(), name(&log.path(), first)).unwrap();
        if leave_empty {
            fs::write(log.path(), "").unwrap();
        }
        let mut open = log.open(noon());
        open.append(&[(noon(), event(2))], noon()).unwrap();
        drop(open);
        assert!(matches!(log.verify(), AuditVerdict::Good { first: 1, .. }));
    }
}

#[test]
fn after_a_failed_write_the_same_lines_can_be_tried_again() {
    let log = Log::new();
    let mut open = log.open(noon());
    let before = open.chain();
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    open.fail_until(works.clone());
    for now in [noon(), noon() + DAY] {
        assert!(open.append(&[(now, event(1))], now).is_err());
        assert_eq!(open.chain(), before);
    }
    works.store(true, std::sync::atomic::Ordering::Relaxed);

    open.append(&[(noon(), event(1))], noon() + DAY).unwrap();

    assert_eq!(log.files().len(), 2);
    assert!(matches!(log.verify(), AuditVerdict::Good { lines: 3, .. }));
}

#[test]
fn trying_a_place_out_leaves_nothing_there() {
    let log = Log::new();
    check_writable(&log.path()).unwrap();
    assert!(!log.path().exists());
    drop(log.open(noon()));
    let text = log.text();
    check_writable(&log.path()).unwrap();
    assert_eq!(log.text(), text);
    assert!(check_writable(Path::new("/proc/audit.jsonl")).is_err());
}
