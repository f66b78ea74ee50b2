//! Looks for many values at once, after Wu and Manber: of the shortest value's length, the last two bytes
//! of the window say how far no value can end. Written here because what others build of a needle they do not zero.

use zeroize::{Zeroize as _, Zeroizing};

/// The bytes whose place in the values is known.
const BLOCK_BYTES: usize = 2;
/// The longest window; shifts must fit a byte.
const MAX_WINDOW_BYTES: usize = 128;

/// What is looked for.
pub(super) struct Needle {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Whether ASCII letters of either case are the same.
    pub(super) any_case: bool,
    /// Whether it counts only between what are neither letters nor digits.
    pub(super) is_word: bool,
}

/// Needles of at least [`BLOCK_BYTES`] bytes, prepared.
#[derive(Default)]
pub(super) struct Matcher {
    needles: Vec<Needle>,
    window: usize,
    /// By a block in lower case, how far the window may move.
    shifts: Zeroizing<Vec<u8>>,
    /// Blocks at the end of a window and the needles that have them there, sorted.
    ends: Vec<(u16, u16)>,
}

impl Matcher {
    pub(super) fn new(needles: Vec<Needle>) -> Self {
        let shortest = needles.iter().map(|needle| needle.bytes.len()).min();
        let Some(window) = shortest.map(|n| n.min(MAX_WINDOW_BYTES)) else {
            return Self::default();
        };
        let farthest = u8::try_from(window - BLOCK_BYTES + 1).unwrap_or(1);
        let mut shifts = Zeroizing::new(vec![farthest; 1 << 16]);
        let mut ends = Vec::with_capacity(needles.len());
        for (number, needle) in (0_u16..).zip(&needles) {
            for (at, pair) in needle.bytes[..window].windows(BLOCK_BYTES).enumerate() {
                let block = block(pair[0], pair[1]);
                let shift = u8::try_from(window - BLOCK_BYTES - at).unwrap_or(0);
                let known = &mut shifts[usize::from(block)];
                *known = shift.min(*known);
                if shift == 0 {
                    ends.push((block, number));
                }
            }
        }
        ends.sort_unstable();
        Self {
            needles,
            window,
            shifts,
            ends,
        }
    }

    /// The shortest needle's length in bytes; without needles, no text is long enough.
    pub(super) fn shortest(&self) -> usize {
        let lengths = self.needles.iter().map(|needle| needle.bytes.len());
        lengths.min().unwrap_or(usize::MAX)
    }

    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        if self.needles.is_empty() {
            return false;
        }
        let mut end = self.window;
        while end <= text.len() {
            let block = block(text[end - 2], text[end - 1]);
            let shift = self.shifts[usize::from(block)];
            if shift == 0 && self.is_at(text, end - self.window, block) {
                return true;
            }
            end += usize::from(shift.max(1));
        }
        false
    }

    fn is_at(&self, text: &[u8], start: usize, block: u16) -> bool {
        let first = self.ends.partition_point(|(known, _)| *known < block);
        self.ends[first..]
            .iter()
            .take_while(|(known, _)| *known == block)
            .any(|(_, number)| self.needles[usize::from(*number)].is_at(text, start))
    }
}

impl Drop for Matcher {
    fn drop(&mut self) {
        self.ends.zeroize();
    }
}

impl Needle {
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let end = start + self.bytes.len();
        let Some(found) = text.get(start..end) else {
            return false;
        };
        let is_same = if self.any_case {
            found.eq_ignore_ascii_case(&self.bytes)
        } else {
            found == self.bytes.as_slice()
        };
        is_same && (!self.is_word || (ends_apart(&text[..start]) && begins_apart(&text[end..])))
    }
}

fn block(a: u8, b: u8) -> u16 {
    u16::from_be_bytes([a.to_ascii_lowercase(), b.to_ascii_lowercase()])
}

fn ends_apart(before: &[u8]) -> bool {
    let longest = before.len().min(4);
    let char = (1..=longest).find_map(|n| only_char(&before[before.len() - n..]));
    before.is_empty() || char.is_some_and(is_apart)
}

fn begins_apart(after: &[u8]) -> bool {
    let longest = after.len().min(4);
    let char = (1..=longest).find_map(|n| only_char(&after[..n]));
    after.is_empty() || char.is_some_and(is_apart)
}

fn only_char(bytes: &[u8]) -> Option<char> {
    std::str::from_utf8(bytes).ok()?.chars().next()
}

/// What stands between words. Other control characters are in binary data, where three bytes are found by accident.
fn is_apart(char: char) -> bool {
    matches!(char, '\0' | '\t' | '\n' | '\r') || !(char.is_control() || char.is_alphanumeric())
}
