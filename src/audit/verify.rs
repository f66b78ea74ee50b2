//! `authloop audit verify`: whether a log is as it was written.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use super::{
    chain::{self, LineFlaw, LineHash},
    segments,
};

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every line follows the one before.
    Good {
        /// How many lines.
        lines: u64,
        /// The first one's number; above 1 where the log says that it dropped older segments.
        first: u64,
        /// The last one's number.
        last: u64,
        /// The hash of the last line.
        head: LineHash,
    },
    /// A line is not what was written there.
    Bad {
        /// In which file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        flaw: LineFlaw,
    },
    /// The chain is good in itself, but its oldest lines are missing, and the log does not say that it
    /// dropped them.
    MissingBefore {
        /// The number of the first line that is left.
        first: u64,
    },
    /// The chain is good in itself, but does not hold the line with the head that was asked for.
    OtherHead {
        /// The hash of its last line.
        head: LineHash,
    },
}

impl std::fmt::Display for AuditVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good {
                lines,
                first,
                last,
                head,
            } => write!(f, "ok    {lines} lines, seq {first} to {last}, head {head}"),
            Self::Bad { file, line, flaw } => {
                write!(f, "FAIL  {} line {line}: {flaw}", file.display())
            }
            Self::MissingBefore { first } => write!(
                f,
                "FAIL  the first line has seq {first}, and no `segments_dropped` accounts for those before \
                 it: older segments were not given, or somebody removed them"
            ),
            Self::OtherHead { head } => write!(
                f,
                "FAIL  the chain ends with head {head} and has no line with the one given: lines are \
                 missing at its end, or it was written anew"
            ),
        }
    }
}

/// Checks the segments of one log, given in any order. With `head`, the chain must hold the line of
/// that hash: a head that was noted some time ago still is in a chain that has only grown.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(files: &[PathBuf], head: Option<LineHash>) -> io::Result<AuditVerdict> {
    let mut ordered = Vec::new();
    for file in files {
        let first = first_sequence(file).map_err(|error| with_file_name(file, &error))?;
        ordered.push((first, file));
    }
    ordered.sort();
    let (mut before, mut lines, mut first) = (None, 0, None);
    let mut seen = head.is_none();
    let mut dropped = 0;
    for (_, file) in ordered {
        let found = segments::read(file, before).map_err(|error| with_file_name(file, &error))?;
        let torn = (!found.torn.is_empty()).then_some((found.lines + 1, LineFlaw::Torn));
        if let Some((line, flaw)) = found.flaw.or(torn) {
            let file = file.clone();
            return Ok(AuditVerdict::Bad { file, line, flaw });
        }
        if found.lines == 0 {
            let (file, line) = (file.clone(), 1);
            return Ok(AuditVerdict::Bad {
                file,
                line,
                flaw: LineFlaw::Start,
            });
        }
        if let Some(head) = head {
            seen = seen || holds(file, head)?;
        }
        lines += found.lines;
        first = first.or(found.verifier.first());
        dropped = dropped.max(found.verifier.dropped());
        before = Some(found.verifier.chain());
    }
    let chain = before.unwrap_or(chain::Chain::NEW);
    let first = first.unwrap_or(1);
    if first > dropped.saturating_add(1) {
        return Ok(AuditVerdict::MissingBefore { first });
    }
    if !seen {
        return Ok(AuditVerdict::OtherHead { head: chain.head });
    }
    Ok(AuditVerdict::Good {
        lines,
        first,
        last: chain.next - 1,
        head: chain.head,
    })
}

/// 0 if the first line is none of a log's: then it is the first to be told of.
fn first_sequence(file: &Path) -> io::Result<u64> {
    let mut line = Vec::new();
    BufReader::new(File::open(file)?).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(chain::peek(line).map_or(0, |(seq, _)| seq))
}

fn holds(file: &Path, head: LineHash) -> io::Result<bool> {
    for line in BufReader::new(File::open(file)?).split(b'\n') {
        if LineHash::of(&line?) == head {
            return Ok(true);
        }
    }
    Ok(false)
}

fn with_file_name(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}
