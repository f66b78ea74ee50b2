//! The audit log: what happened to sessions and keys, in files whose lines are chained by hashes.
//!
//! Reporting an event never waits: it goes into a bounded queue, and a thread of its own writes what
//! has gathered and syncs it to the disk at once. While the disk fails, the thread tries again,
//! `/readyz` says so, and events that find the queue full are counted and mentioned in the log.

pub mod chain;
mod log_event;
mod segments;
#[cfg(test)]
mod tests;
pub mod verify;

use std::{
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;
use authloop_signaling::AuditEvent;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use serde::Serialize;
use time::OffsetDateTime;

use chain::Chain;
use log_event::LogEvent;
use segments::{MAX_SEGMENT_BYTES, Segments};

/// Events that may wait for the disk.
const MAX_QUEUED_EVENTS: usize = 8192;
/// Events that are written at once.
const MAX_EVENTS_PER_WRITE: usize = 512;
/// Time between a failed write and the next try, and between a quiet log's looks at the day.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Refusals that are recorded in a second: anyone can cause them, and they must not fill the disk.
const MAX_REFUSALS_PER_SECOND: NonZeroU32 = match NonZeroU32::new(20) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};

/// Where the log is, and how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The newest segment's file; older ones lie beside it.
    pub file: PathBuf,
    /// Age at which a segment is removed; `None` for never.
    pub retention: Option<time::Duration>,
}

/// What the server itself reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerEvent {
    /// It listens.
    ServerStarted {
        /// Its own.
        version: &'static str,
    },
    /// It ends as it was asked to.
    ServerStopped,
    /// Other API keys hold from now on.
    KeysReloaded {
        /// How many.
        keys: usize,
    },
    /// The API keys' file cannot be used; the old ones go on.
    KeysRefused,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LogEntry {
    Signaling(AuditEvent),
    Server(ServerEvent),
    Log(LogEvent),
}

/// An entry with its time.
type TimedEntry = (OffsetDateTime, LogEntry);

/// A log that is being written; clones share it.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

struct Shared {
    /// `None` once the log is closed.
    queue: Mutex<Option<SyncSender<TimedEntry>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    refusals: DefaultDirectRateLimiter,
    state: Arc<LogState>,
}

/// What the writer knows of the log, for those who ask.
#[derive(Default)]
struct LogState {
    lines: AtomicU64,
    /// Events that found the queue full: all of them, and those that the log does not mention yet.
    lost: AtomicU64,
    lost_unrecorded: AtomicU64,
    omitted: AtomicU64,
    omitted_unrecorded: AtomicU64,
    write_failures: AtomicU64,
    failing: AtomicBool,
    closed: AtomicBool,
    head: Mutex<Option<Chain>>,
}

/// How a log is doing, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditStats {
    /// Lines written since the start.
    pub lines: u64,
    /// Events that found the queue full.
    pub lost: u64,
    /// Refusals beyond the rate at which they are kept.
    pub omitted: u64,
    /// Failed tries to write.
    pub write_failures: u64,
    /// Whether the last try failed.
    pub failing: bool,
}

impl AuditLog {
    /// Opens the log, checks its newest segment, and starts the writer.
    ///
    /// # Errors
    /// When the files cannot be read or written, or another process writes them.
    pub fn open(settings: &AuditSettings) -> anyhow::Result<Self> {
        let file = &settings.file;
        let segments = Segments::open(file, settings.retention, MAX_SEGMENT_BYTES, now())
            .with_context(|| format!("cannot use the audit log {}", file.display()))?;
        Self::with_segments(segments, MAX_QUEUED_EVENTS)
            .context("cannot start the audit log's thread")
    }

    fn with_segments(segments: Segments, queue: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let state = Arc::new(LogState::default());
        *state.head.lock() = Some(segments.chain());
        let writer = LogWriter {
            segments,
            state: state.clone(),
            pending: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let writer = thread.spawn(move || writer.run(&receiver))?;
        Ok(Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Some(sender)),
                writer: Mutex::new(Some(writer)),
                refusals: RateLimiter::direct(Quota::per_second(MAX_REFUSALS_PER_SECOND)),
                state,
            }),
        })
    }

    /// Records an event of signaling's. Never waits.
    pub fn record_signaling(&self, event: AuditEvent) {
        let state = &self.shared.state;
        if event.is_refusal() && self.shared.refusals.check().is_err() {
            state.omitted.fetch_add(1, Ordering::Relaxed);
            state.omitted_unrecorded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.enqueue(LogEntry::Signaling(event));
    }

    /// Records an event of the server's. Never waits.
    pub fn record_server(&self, event: ServerEvent) {
        self.enqueue(LogEntry::Server(event));
    }

    fn enqueue(&self, entry: LogEntry) {
        let queue = self.shared.queue.lock();
        let queued = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send((now(), entry)).is_ok());
        if !queued {
            self.shared.state.lost.fetch_add(1, Ordering::Relaxed);
            self.shared
                .state
                .lost_unrecorded
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the log is doing.
    #[must_use]
    pub fn stats(&self) -> AuditStats {
        let state = &self.shared.state;
        AuditStats {
            lines: state.lines.load(Ordering::Relaxed),
            lost: state.lost.load(Ordering::Relaxed),
            omitted: state.omitted.load(Ordering::Relaxed),
            write_failures: state.write_failures.load(Ordering::Relaxed),
            failing: state.failing.load(Ordering::Relaxed),
        }
    }

    /// The chain as it is on the disk, for whoever keeps its head elsewhere.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.shared.state.head.lock().unwrap_or(Chain::NEW)
    }

    /// Takes no more events and waits until those that it has are on the disk; a disk that fails now
    /// gets one more try.
    pub fn close(&self) {
        self.shared.state.closed.store(true, Ordering::Relaxed);
        drop(self.shared.queue.lock().take());
        let writer = self.shared.writer.lock().take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit log's thread failed");
        }
    }
}

struct LogWriter {
    segments: Segments,
    state: Arc<LogState>,
    /// Not on the disk yet.
    pending: Vec<TimedEntry>,
}

impl LogWriter {
    fn run(mut self, queue: &Receiver<TimedEntry>) {
        loop {
            if self.pending.is_empty() {
                match queue.recv_timeout(WRITE_INTERVAL) {
                    Ok(entry) => self.pending.push(entry),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return self.write(),
                }
            } else {
                // The last try failed.
                std::thread::sleep(WRITE_INTERVAL);
            }
            let room = MAX_EVENTS_PER_WRITE.saturating_sub(self.pending.len());
            self.pending.extend(queue.try_iter().take(room));
            self.write();
            if !self.pending.is_empty() && self.state.closed.load(Ordering::Relaxed) {
                tracing::error!("the audit log ends without what was not written yet");
                return;
            }
        }
    }

    fn write(&mut self) {
        let (now, state) = (now(), &self.state);
        let mut notes = Vec::new();
        let lost = state.lost_unrecorded.load(Ordering::Relaxed);
        if lost > 0 {
            notes.push((now, LogEntry::Log(LogEvent::EventsLost { count: lost })));
        }
        let omitted = state.omitted_unrecorded.load(Ordering::Relaxed);
        if omitted > 0 {
            let note = LogEvent::RefusalsOmitted { count: omitted };
            notes.push((now, LogEntry::Log(note)));
        }
        let before = self.pending.len();
        self.pending.append(&mut notes);
        match self.segments.append(&self.pending, now) {
            Ok(()) => {
                state.lost_unrecorded.fetch_sub(lost, Ordering::Relaxed);
                state
                    .omitted_unrecorded
                    .fetch_sub(omitted, Ordering::Relaxed);
                let chain = self.segments.chain();
                let lines = self.pending.len() as u64;
                state.lines.fetch_add(lines, Ordering::Relaxed);
                *state.head.lock() = Some(chain);
                self.pending.clear();
                if state.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit log is written again");
                }
            }
            Err(error) => {
                self.pending.truncate(before);
                state.write_failures.fetch_add(1, Ordering::Relaxed);
                if !state.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the audit log cannot be written; trying again");
                }
            }
        }
    }
}

/// Prints the verdict of `authloop audit verify`, and returns whether it is a good one.
///
/// # Errors
/// When a file cannot be read.
pub fn print_verdict(files: &[PathBuf], head: Option<chain::LineHash>) -> anyhow::Result<bool> {
    let verdict = verify::verify(files, head)?;
    println!("{verdict}");
    Ok(matches!(verdict, verify::AuditVerdict::Good { .. }))
}

/// Checks that a log can be opened at `file`, by opening its newest segment. Leaves that as it was, and
/// no file where there was none.
///
/// # Errors
/// What the system says.
pub fn check_writable(file: &Path) -> io::Result<()> {
    segments::check_writable(file)
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
