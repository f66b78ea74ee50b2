//! Pure: the chain of an audit log, lines that each hold the hash of the line before.
//!
//! A line is one JSON object: `seq`, `time`, `event` and what belongs to it, `prev`, `hash`. `prev` is
//! the SHA-256 of the previous line's exact bytes, without its line feed; `hash` is that of the line
//! itself with the member `hash` taken out (`…,"prev":"…"}`), so that the last line is covered too.
//! The log is cut into segments, whose first line is a `segment_started` that goes on with `seq` and
//! `prev`: the segments before may be dropped, and what is left can still be checked.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const HASH_KEY: &[u8] = br#","hash":""#;
const LINE_END: &[u8] = br#""}"#;
/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// SHA-256 of a line's exact bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What the first line of all has as `prev`.
    pub const NONE: Self = Self([0; 32]);

    /// Of a line, or of a part of one.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        let hash = Self(hash);
        (hash.to_string() == text).then_some(hash)
    }
}

impl std::fmt::Display for LineHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Where a chain goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The next line's number, from 1.
    pub next: u64,
    /// The hash of the last line: the chain's head.
    pub head: LineHash,
}

impl Chain {
    /// Before the first line.
    pub const NEW: Self = Self {
        next: 1,
        head: LineHash::NONE,
    };

    /// Makes the next line, without its line feed. `event` must serialize as a JSON object with a
    /// member `event`.
    ///
    /// # Errors
    /// When it does not serialize.
    pub fn append(&mut self, time: &str, event: &impl Serialize) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Body<'a, E> {
            seq: u64,
            time: &'a str,
            #[serde(flatten)]
            event: &'a E,
            prev: String,
        }
        let mut line = serde_json::to_string(&Body {
            seq: self.next,
            time,
            event,
            prev: self.head.to_string(),
        })?;
        let hash = LineHash::of(line.as_bytes());
        line.pop();
        line.push_str(&format!(r#","hash":"{hash}"}}"#));
        self.next += 1;
        self.head = LineHash::of(line.as_bytes());
        Ok(line)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFlaw {
    /// It does not end as a line does.
    #[error("it is no line of an audit log")]
    Form,
    /// `hash` is not the hash of the rest.
    #[error("its `hash` is not that of its bytes: it was changed")]
    Hash,
    /// `seq` is not one more than before.
    #[error("its `seq` is {found}, not {expected}: lines are missing, repeated or out of order")]
    Sequence {
        /// One more than before.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// `prev` is not the hash of the line before.
    #[error(
        "its `prev` is not the hash of the line before it: one of the two is not what was written"
    )]
    Previous,
    /// A segment's first line is not a `segment_started`.
    #[error("a segment does not begin with it: the lines before it are missing")]
    Start,
    /// A `segment_started` that is not a segment's first line.
    #[error("a segment begins with it, which belongs into a file of its own")]
    Restart,
    /// The last line has no line feed.
    #[error("it has no end: it is being written, or the server stopped in the midst of it")]
    Torn,
}

/// Checks a chain, line by line, the oldest segment first.
#[derive(Clone, Debug, Default)]
pub struct ChainVerifier {
    /// Where the chain must go on; `None` before the oldest line that is left.
    expected: Option<Chain>,
    first: Option<u64>,
    /// Up to this line, older segments were dropped.
    dropped: u64,
    in_segment: bool,
}

#[derive(Deserialize)]
struct LineFields {
    seq: u64,
    time: String,
    event: String,
    /// Of a `segments_dropped`: the last line that went.
    #[serde(default)]
    last: u64,
    prev: String,
}

impl ChainVerifier {
    /// Goes on behind a chain that is known to be good.
    #[must_use]
    pub fn after(chain: Chain) -> Self {
        Self {
            expected: Some(chain),
            first: None,
            dropped: 0,
            in_segment: false,
        }
    }

    /// The next line is the first of a segment.
    pub fn begin_segment(&mut self) {
        self.in_segment = false;
    }

    /// Takes the next line, without its line feed.
    ///
    /// # Errors
    /// The first [`LineFlaw`] that it has; the chain is then taken to go on behind it.
    pub fn line(&mut self, line: &[u8]) -> Result<(), LineFlaw> {
        let before = self.expected;
        let begins = !std::mem::replace(&mut self.in_segment, true);
        let read = read(line);
        let seq = match (&read, before) {
            (_, Some(before)) => before.next,
            (Ok(head), None) => head.seq,
            (Err(_), None) => 1,
        };
        self.first.get_or_insert(seq);
        self.expected = Some(Chain {
            next: seq.saturating_add(1),
            head: LineHash::of(line),
        });
        let head = read?;
        match (begins, head.event == SEGMENT_STARTED) {
            (true, false) => return Err(LineFlaw::Start),
            (false, true) => return Err(LineFlaw::Restart),
            (true, true) | (false, false) => {}
        }
        if head.seq != seq {
            return Err(LineFlaw::Sequence {
                expected: seq,
                found: head.seq,
            });
        }
        let genesis = (head.seq == 1).then_some(LineHash::NONE);
        match before.map(|before| before.head).or(genesis) {
            Some(prev) if prev.to_string() != head.prev => return Err(LineFlaw::Previous),
            _ => {}
        }
        if head.event == SEGMENTS_DROPPED {
            self.dropped = self.dropped.max(head.last);
        }
        Ok(())
    }

    /// The number of the first line, once there was one.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// The last line of the segments that the log says it has dropped; 0 for none.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where the chain goes on behind the lines so far.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.expected.unwrap_or(Chain::NEW)
    }
}

/// The event of each segment's first line.
pub(super) const SEGMENT_STARTED: &str = "segment_started";

/// The event that accounts for older lines that are not there any more.
const SEGMENTS_DROPPED: &str = "segments_dropped";

/// A line's number and time, as it says; `None` if it is no line of a log.
pub(super) fn peek(line: &[u8]) -> Option<(u64, String)> {
    read(line).ok().map(|head| (head.seq, head.time))
}

/// A line's members, once its own hash is right.
fn read(line: &[u8]) -> Result<LineFields, LineFlaw> {
    let rest = line.strip_suffix(LINE_END).ok_or(LineFlaw::Form)?;
    let at = rest.len().checked_sub(HASH_DIGITS).ok_or(LineFlaw::Form)?;
    let (rest, digits) = rest.split_at(at);
    let body = rest.strip_suffix(HASH_KEY).ok_or(LineFlaw::Form)?;
    let hash = LineHash::of(&[body, b"}"].concat());
    if hash.to_string().as_bytes() != digits {
        return Err(LineFlaw::Hash);
    }
    serde_json::from_slice(line).map_err(|_| LineFlaw::Form)
}

#[cfg(test)]
mod tests;
