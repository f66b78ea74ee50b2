//! Another process's memory, by `/proc/PID/maps` and `/proc/PID/mem` (proc(5)).

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::scanner::{Findings, SecretScanner};

/// Bytes read at once: enough to be quick, and little beside what is searched.
const CHUNK_BYTES: usize = 4 << 20;

/// Memory that could not be searched.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The process is gone, or belongs to another.
    #[error("cannot read the memory of process {pid}: {source}")]
    Unreadable {
        /// The process.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// Not one byte of it could be read.
    #[error("process {0} has no memory that could be read")]
    Empty(u32),
}

/// Searches every readable and writable mapping of a process: its heap, stacks and data.
///
/// # Errors
/// When the process is gone or belongs to another user.
pub fn scan_memory(scanner: &SecretScanner, pid: u32) -> Result<Findings, MemoryError> {
    let unreadable = |source| MemoryError::Unreadable { pid, source };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(unreadable)?;
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(unreadable)?;
    let mut findings = Findings::default();
    for mapping in maps.lines().filter_map(MemoryMapping::parse) {
        findings.add(mapping.scan(scanner, pid, &memory));
    }
    if findings.bytes == 0 {
        return Err(MemoryError::Empty(pid));
    }
    Ok(findings)
}

#[derive(Debug, PartialEq, Eq)]
struct MemoryMapping<'a> {
    start: u64,
    end: u64,
    name: &'a str,
}

impl<'a> MemoryMapping<'a> {
    /// Reads `start-end perms offset dev inode  name`; `None` unless it can be read and written.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let writable = words.next()?.starts_with("rw");
        let name = words.nth(3).unwrap_or_default().trim();
        writable.then_some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            name,
        })
    }

    /// Searches piece by piece; a mapping that vanishes while it is read was given back, and is skipped.
    fn scan(&self, scanner: &SecretScanner, pid: u32, memory: &File) -> Findings {
        let place = format!("memory of {pid}, {:x} {}", self.start, self.name);
        let mut findings = Findings::default();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = self.start;
        while at < self.end {
            let want =
                usize::try_from(self.end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let Ok(read) = memory.read_at(&mut buffer[..want], at) else {
                break;
            };
            let mut piece = scanner.scan_bytes(&buffer[..read], &place);
            for hit in &mut piece.hits {
                hit.offset += at - self.start;
            }
            findings.add(piece);
            let last = at + read as u64 >= self.end;
            let step = if last {
                read
            } else {
                read.saturating_sub(scanner.overlap())
            };
            if step == 0 {
                break;
            }
            at += step as u64;
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encodings::needles;

    #[test]
    fn maps_are_read_as_proc_5_describes_them() {
        let heap = "55d0c000-55d2e000 rw-p 00000000 00:00 0                          [heap]";
        let code = "7f01a000-7f01b000 r-xp 00001000 08:01 1234 /usr/lib/libc.so.6";

        let heap = MemoryMapping::parse(heap).unwrap();
        assert_eq!(
            (heap.start, heap.end, heap.name),
            (0x55d0_c000, 0x55d2_e000, "[heap]")
        );
        assert_eq!(MemoryMapping::parse(code), None);
    }

    #[test]
    fn a_secret_in_another_process_is_found_there() {
        let secret = "not-for-the-relay-5f1c";
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .env("PLANTED", secret)
            .spawn()
            .unwrap();

        let found = scan_memory(
            &SecretScanner::new(&needles("s", secret.as_bytes())),
            other.id(),
        );
        let absent = scan_memory(
            &SecretScanner::new(&needles("s", b"another secret")),
            other.id(),
        );
        other.kill().unwrap();
        other.wait().unwrap();

        let found = found.unwrap();
        assert_eq!(found.hits[0].needle, "s/utf-8");
        assert!(found.hits[0].place.contains("[stack]"));
        assert!(absent.unwrap().hits.is_empty());
    }

    #[test]
    fn nothing_hides_across_the_border_of_two_pieces() {
        let secret = b"half here, half there";
        let file = tempfile::tempfile().unwrap();
        let at = CHUNK_BYTES as u64 - 7;
        file.write_all_at(secret, at).unwrap();
        let mapping = MemoryMapping {
            start: 0,
            end: 2 * CHUNK_BYTES as u64,
            name: "",
        };
        file.set_len(mapping.end).unwrap();

        let findings = mapping.scan(&SecretScanner::new(&needles("s", secret)), 1, &file);

        assert_eq!(findings.hits.len(), 1);
        assert_eq!(findings.hits[0].offset, at);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_not_a_clean_bill() {
        // Above the largest pid that Linux gives.
        let scanner = SecretScanner::new(&needles("any", b"anything"));

        assert!(scan_memory(&scanner, 1 << 23).is_err());
    }
}
