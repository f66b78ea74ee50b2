//! The files of an audit log: the newest segment at the log's own path, older ones beside it with
//! the number of their first line behind the name.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, BufRead as _, BufReader},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    chain::{self, Chain, ChainVerifier, LineFlaw, LineHash},
    log_event::LogEvent,
};

/// Size from which on a segment is full.
pub(super) const MAX_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Digits of a first line's number in a segment's name, so that names sort as the segments do.
const SEQUENCE_DIGITS: usize = 12;

/// A log that is open for writing; no other process can open it so meanwhile.
#[derive(Debug)]
pub(super) struct Segments {
    path: PathBuf,
    retention: Option<Duration>,
    max_segment_bytes: u64,
    file: File,
    /// Bytes of whole lines; what a failed write left behind them is `dirty`.
    length: u64,
    dirty: bool,
    /// The number of the newest segment's first line, and the day of its first line (UTC).
    first: u64,
    day: String,
    chain: Chain,
    /// Stands in for a disk without room.
    #[cfg(test)]
    works: Option<std::sync::Arc<std::sync::atomic::AtomicBool>>,
}

impl Segments {
    /// Opens the log, or begins it, and checks its newest segment. What was found amiss is an event
    /// in it.
    pub(super) fn open(
        path: &Path,
        retention: Option<Duration>,
        max_segment_bytes: u64,
        now: OffsetDateTime,
    ) -> io::Result<Self> {
        let older = older_segments(path)?;
        let before = match older.last() {
            None => Chain::NEW,
            Some((first, path)) => read(path, None)?.chain_after(*first),
        };
        let has_older = !older.is_empty();
        let file = open_locked(path)?;
        let found = read(path, has_older.then_some(before))?;
        file.set_len(found.whole)?;
        let mut log = Self {
            path: path.to_owned(),
            retention,
            max_segment_bytes,
            file,
            length: found.whole,
            dirty: false,
            first: found.verifier.first().unwrap_or(before.next),
            day: found.day.clone().unwrap_or_else(|| day(now)),
            chain: if found.lines == 0 {
                before
            } else {
                found.verifier.chain()
            },
            #[cfg(test)]
            works: None,
        };
        let mut notes = Vec::new();
        if found.lines == 0 {
            notes.push(LogEvent::SegmentStarted);
        }
        if !found.torn.is_empty() {
            notes.push(LogEvent::TornLineCut {
                bytes: found.torn.len() as u64,
                sha256: LineHash::of(&found.torn).to_string(),
            });
        }
        if let Some((line, flaw)) = found.flaw {
            tracing::error!(line, %flaw, "the audit log is not as it was written");
            notes.push(LogEvent::DamageFound { line });
        }
        if !notes.is_empty() {
            log.write(&notes.iter().map(|note| (now, note)).collect::<Vec<_>>())?;
        }
        sync_folder(path)?;
        log.remove_expired(now)?;
        Ok(log)
    }

    /// Where the chain goes on.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Begins a new segment if the day or the size asks for it, writes the events and brings them to
    /// the disk. After an error nothing of them is in the log, and all may be tried again.
    pub(super) fn append<E: Serialize>(
        &mut self,
        events: &[(OffsetDateTime, E)],
        now: OffsetDateTime,
    ) -> io::Result<()> {
        if self.day != day(now) || self.length >= self.max_segment_bytes {
            self.begin_segment(now)?;
            self.remove_expired(now)?;
        }
        self.write(events)
    }

    fn write<E: Serialize>(&mut self, events: &[(OffsetDateTime, E)]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut chain = self.chain;
        let mut text = String::new();
        for (time, event) in events {
            text.push_str(&chain.append(&stamp(*time), event)?);
            text.push('\n');
        }
        // Half a line must not stay, nor lines that the next try writes again.
        self.discard_partial_write()?;
        let written = self.to_disk(text.as_bytes());
        if let Err(error) = written {
            self.dirty = true;
            let _tried_again_before_the_next_write = self.discard_partial_write();
            return Err(error);
        }
        self.chain = chain;
        self.length += text.len() as u64;
        Ok(())
    }

    fn to_disk(&self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(works) = &self.works
            && !works.load(std::sync::atomic::Ordering::Relaxed)
        {
            // What a disk that fills up amid a write has of it.
            self.file
                .write_all_at(&bytes[..bytes.len() / 2], self.length)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, self.length)?;
        self.file.sync_data()
    }

    #[cfg(test)]
    pub(super) fn fail_until(&mut self, works: std::sync::Arc<std::sync::atomic::AtomicBool>) {
        self.works = Some(works);
    }

    fn discard_partial_write(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.length)?;
            self.dirty = false;
        }
        Ok(())
    }

    fn begin_segment(&mut self, now: OffsetDateTime) -> io::Result<()> {
        let full = name(&self.path, self.first);
        // Else an earlier try came as far as this, and what is at the path is its empty file.
        if !full.try_exists()? {
            match fs::rename(&self.path, full) {
                // Somebody took it away; the next segment shows that.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        let mut next = Self {
            path: self.path.clone(),
            file: open_locked(&self.path)?,
            length: 0,
            dirty: true,
            first: self.chain.next,
            day: day(now),
            retention: self.retention,
            max_segment_bytes: self.max_segment_bytes,
            chain: self.chain,
            #[cfg(test)]
            works: self.works.clone(),
        };
        next.write(&[(now, LogEvent::SegmentStarted)])?;
        sync_folder(&next.path)?;
        *self = next;
        Ok(())
    }

    /// Removes segments whose last line is older than the log is kept.
    fn remove_expired(&mut self, now: OffsetDateTime) -> io::Result<()> {
        let Some(oldest) = self
            .retention
            .and_then(|retention| now.checked_sub(retention))
        else {
            return Ok(());
        };
        let mut dropped = Vec::new();
        let mut last = 0;
        for (first, path) in older_segments(&self.path)? {
            let found = read(&path, None)?;
            // What cannot be read is for a person to look at.
            if found.last.is_none_or(|time| time >= oldest) {
                break;
            }
            last = found.chain_after(first).next - 1;
            dropped.push(path);
        }
        if dropped.is_empty() {
            return Ok(());
        }
        let count = dropped.len();
        self.write(&[(now, LogEvent::SegmentsDropped { count, last })])?;
        dropped.iter().try_for_each(fs::remove_file)
    }
}

/// The older segments of the log at `path`, the oldest first, each with its first line's number.
pub(super) fn older_segments(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let (Some(own), folder) = (
        path.file_name().and_then(|name| name.to_str()),
        folder(path),
    ) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has no file name",
        ));
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix(own)?.strip_prefix('.'))
            .filter(|digits| digits.len() == SEQUENCE_DIGITS);
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((first, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What a segment holds.
pub(super) struct SegmentContents {
    pub(super) verifier: ChainVerifier,
    pub(super) lines: u64,
    /// The first bad line, from 1.
    pub(super) flaw: Option<(u64, LineFlaw)>,
    /// Bytes of whole lines.
    whole: u64,
    /// What follows them.
    pub(super) torn: Vec<u8>,
    /// Of the first line.
    day: Option<String>,
    /// Of the last line.
    last: Option<OffsetDateTime>,
}

impl SegmentContents {
    fn chain_after(&self, first: u64) -> Chain {
        Chain {
            next: first + self.lines,
            head: self.verifier.chain().head,
        }
    }
}

/// Reads a segment, which must follow `before` if that is given.
pub(super) fn read(path: &Path, before: Option<Chain>) -> io::Result<SegmentContents> {
    let mut verifier = before.map_or_else(ChainVerifier::default, ChainVerifier::after);
    verifier.begin_segment();
    let mut found = SegmentContents {
        verifier,
        lines: 0,
        flaw: None,
        whole: 0,
        torn: Vec::new(),
        day: None,
        last: None,
    };
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = file.read_until(b'\n', &mut line)?;
        let Some(whole) = line.strip_suffix(b"\n") else {
            found.torn = line;
            return Ok(found);
        };
        found.lines += 1;
        found.whole += length as u64;
        if let Err(flaw) = found.verifier.line(whole) {
            found.flaw.get_or_insert((found.lines, flaw));
        }
        let time = chain::peek(whole);
        let time = time.and_then(|(_, time)| OffsetDateTime::parse(&time, &Rfc3339).ok());
        found.last = time.or(found.last);
        if let (None, Some(time)) = (&found.day, time) {
            found.day = Some(day(time));
        }
    }
}

fn name(path: &Path, first: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{first:0SEQUENCE_DIGITS$}"));
    name.into()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file's name is on the disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// For this user's eyes, and for this process to write.
fn open_locked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process writes it",
        )),
    }
}

/// Whether a log could be opened at `path`. It leaves a log as it is, and none where there is none.
pub(super) fn check_writable(path: &Path) -> io::Result<()> {
    older_segments(path)?;
    let is_new = !path.try_exists()?;
    open_locked(path)?;
    if is_new {
        fs::remove_file(path)?;
    }
    Ok(())
}

fn day(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC).date().to_string()
}

/// RFC 3339 in UTC, to the millisecond.
fn stamp(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    let millis = time.replace_millisecond(time.millisecond()).unwrap_or(time);
    millis.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests;
