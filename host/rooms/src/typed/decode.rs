//! Undoes one encoding. Each function appends to `out` and returns whether there was something to undo;
//! none takes what is wrong for an error, as the text around a value is anything.

use super::entities;

/// The characters of base64 and base64url together, by their value; [`NONE`] for others.
const SEXTETS: [u8; 256] = sextets();
const NONE: u8 = 0xff;
/// What ASCII's bytes are in [`KINDS`]: a character of base64 or hex, one that begins an escape, another of text.
const RUN: u8 = 0;
const PLAIN: u8 = 1;
const MARKER: u8 = 2;
const KINDS: [u8; 256] = kinds();
/// From this length on, a line of base64 may go on in the next one (RFC 7468 has 64, RFC 2045 has 76).
const MIN_LINE_CHARS: usize = 60;

const fn sextets() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
}

const fn kinds() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            _ if SEXTETS[byte] != NONE => RUN,
            b'%' | b'\\' | b'&' => MARKER,
            b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0 => PLAIN,
            _ => NONE,
        };
        byte += 1;
    }
    table
}

/// `%XX` and `%uXXXX`; with `plus`, `+` is a space.
pub(super) fn percent(text: &[u8], plus: bool, out: &mut Vec<u8>) -> bool {
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at + 1..];
        let decoded = match byte {
            b'%' if matches!(rest.first(), Some(b'u' | b'U')) => {
                utf16_escape(&rest[1..], b"%u", out).map(|n| n + 1)
            }
            b'%' => digits(rest, 2).map(|value| {
                out.push(value.to_le_bytes()[0]);
                2
            }),
            b'+' if plus => {
                out.push(b' ');
                Some(0)
            }
            _ => None,
        };
        match decoded {
            Some(length) => {
                changed = true;
                at += 1 + length;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    changed
}

/// The escapes of JSON and JavaScript's strings; a backslash before anything else goes.
pub(super) fn escapes(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        let (b'\\', Some(&kind)) = (byte, text.get(at)) else {
            out.push(byte);
            continue;
        };
        changed = true;
        let rest = &text[at + 1..];
        let length = match kind {
            b'u' if rest.first() == Some(&b'{') => braced(&rest[1..], out).map(|n| n + 1),
            b'u' => utf16_escape(rest, b"\\u", out),
            b'x' => digits(rest, 2).map(|value| {
                push_char(value, out);
                2
            }),
            _ => None,
        };
        if length.is_none() {
            out.push(match kind {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                b'v' => 11,
                b'0' => 0,
                other => other,
            });
        }
        at += 1 + length.unwrap_or(0);
    }
    changed
}

/// HTML's `&#N;`, `&#xN;` and named entities.
pub(super) fn entities(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        let entity = if byte == b'&' {
            entities::parse(&text[at..])
        } else {
            None
        };
        match entity {
            Some((value, length)) => {
                changed = true;
                push_char(value, out);
                at += length;
            }
            None => out.push(byte),
        }
    }
    changed
}

/// UTF-16 with either byte order, beginning at an even or odd byte.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) {
    let (pairs, _) = bytes.as_chunks::<2>();
    for char in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        push_char(char.map_or(0xfffd, u32::from), out);
    }
}

/// Returns whether characters of ASCII seem to stand in it as UTF-16, or that as UTF-16 once more.
pub(super) fn has_utf16(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at + 4 < bytes.len() {
        let is_one = bytes[at] == 0
            && bytes[at + 2] == 0
            && bytes[at + 4] == 0
            && (bytes[at + 1] != 0 || bytes[at + 3] != 0);
        if is_one {
            return true;
        }
        at += 1;
    }
    false
}

/// Calls `each` with every run of at least `min` characters of base64, which may have line breaks; returns at
/// the first true.
pub(super) fn base64_runs(text: &[u8], min: usize, mut each: impl FnMut(&[u8]) -> bool) -> bool {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut line = at;
        while at < text.len() && SEXTETS[text[at] as usize] != NONE {
            at += 1;
            if at - line >= MIN_LINE_CHARS
                && let Some(next) = next_line(&text[at..])
            {
                at += next;
                line = at;
            }
        }
        if at - start >= min && each(&text[start..at]) {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns how far the next line of base64 is, if one follows.
fn next_line(text: &[u8]) -> Option<usize> {
    let (length, next) = match text {
        [b'\r', b'\n', next, ..] => (2, next),
        [b'\n', next, ..] => (1, next),
        _ => return None,
    };
    (SEXTETS[usize::from(*next)] != NONE).then_some(length)
}

/// Appends the values of a run's characters.
pub(super) fn sextets_of(run: &[u8], out: &mut Vec<u8>) {
    let values = run.iter().map(|byte| SEXTETS[usize::from(*byte)]);
    out.extend(values.filter(|value| *value != NONE));
}

/// The bytes of base64's characters, by their values.
pub(super) fn base64(sextets: &[u8], out: &mut Vec<u8>) {
    out.resize(sextets.len() * 3 / 4, 0);
    let (mut from, mut to) = (0, 0);
    while to + 3 <= out.len() {
        let (a, b, c, d) = (
            sextets[from],
            sextets[from + 1],
            sextets[from + 2],
            sextets[from + 3],
        );
        out[to] = a << 2 | b >> 4;
        out[to + 1] = b << 4 | c >> 2;
        out[to + 2] = c << 6 | d;
        from += 4;
        to += 3;
    }
    // A last group of two or three characters.
    for at in to..out.len() {
        let shift = 2 * (at - to + 1);
        out[at] = sextets[from + at - to] << shift | sextets[from + at - to + 1] >> (6 - shift);
    }
}

/// Calls `each` with every run of at least `min` hex digits; returns at the first true.
pub(super) fn hex_runs(text: &[u8], min: usize, mut each: impl FnMut(&[u8]) -> bool) -> bool {
    text.split(|byte| !byte.is_ascii_hexdigit())
        .any(|run| run.len() >= min && each(run))
}

/// The bytes of hex digits.
pub(super) fn hex(digits: &[u8], out: &mut Vec<u8>) {
    let mut at = 1;
    while at < digits.len() {
        out.push(digit(digits[at - 1]) << 4 | digit(digits[at]));
        at += 2;
    }
}

/// What may be decoded further; [`text_pieces`] leaves out the rest.
pub(super) struct Markers {
    /// The fewest characters of text, in bytes.
    pub(super) min_text: usize,
    /// The fewest characters of base64 or hex in one line or several.
    pub(super) min_run: usize,
    /// Whether `+` may be a space.
    pub(super) plus: bool,
}

/// Calls `each` with every piece of text that has something to undo. What was decoded at a wrong place is
/// noise, in which no encoding is. UTF-16's zeros are text, and a byte of Latin-1 may stand alone between
/// characters of ASCII.
pub(super) fn text_pieces(bytes: &[u8], markers: &Markers, mut each: impl FnMut(&[u8])) {
    let is_ascii = |at: usize| at < bytes.len() && KINDS[bytes[at] as usize] <= MARKER;
    let min_run = markers.min_run.min(MIN_LINE_CHARS);
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut run = 0;
        let mut is_marked = false;
        while at < bytes.len() {
            let byte = bytes[at];
            let kind = KINDS[byte as usize];
            run = if kind == RUN { run + 1 } else { 0 };
            is_marked |= kind == MARKER || run >= min_run || (byte == b'+' && markers.plus);
            at += match byte {
                _ if kind <= MARKER => 1,
                0xc2..=0xdf if is_utf8(bytes, at, 2) => 2,
                0xe0..=0xef if is_utf8(bytes, at, 3) => 3,
                0xf0..=0xf4 if is_utf8(bytes, at, 4) => 4,
                0xa0.. if at > start && is_ascii(at - 1) && is_ascii(at + 1) => 1,
                _ => break,
            };
        }
        if is_marked && at - start >= markers.min_text {
            each(&bytes[start..at]);
        }
        at += 1;
    }
}

fn is_utf8(bytes: &[u8], at: usize, length: usize) -> bool {
    let char = bytes.get(at..at + length);
    char.is_some_and(|char| std::str::from_utf8(char).is_ok())
}

/// Appends the character of four hex digits, or of two such escapes for one beyond 16 bits; returns how
/// long it was without the first `prefix`.
fn utf16_escape(text: &[u8], prefix: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let first = digits(text, 4)?;
    if (0xd800..0xdc00).contains(&first) {
        let second = text[4..]
            .strip_prefix(prefix)
            .and_then(|rest| digits(rest, 4));
        if let Some(second) = second.filter(|second| (0xdc00..0xe000).contains(second)) {
            push_char(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), out);
            return Some(8 + prefix.len());
        }
    }
    push_char(first, out);
    Some(4)
}

/// Appends the character of `X…}`; returns how long that was.
fn braced(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let length = text.iter().take(9).position(|byte| *byte == b'}')?;
    push_char(digits(text, length)?, out);
    Some(length + 1)
}

fn digits(text: &[u8], length: usize) -> Option<u32> {
    let text = text.get(..length)?;
    let is_number = length > 0 && text.iter().all(u8::is_ascii_hexdigit);
    is_number.then(|| {
        text.iter()
            .fold(0, |value, byte| value << 4 | u32::from(digit(*byte)))
    })
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20).wrapping_sub(b'a' - 10) & 0xf,
    }
}

fn push_char(value: u32, out: &mut Vec<u8>) {
    let char = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}
