//! One search: every form into which a text decodes, step by step, until a value is found in one.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::{MAX_DEPTH, MAX_WORK_RATIO, decode, matcher::Matcher};

/// How much may be decoded of however short a text, in bytes.
const MIN_WORK_BYTES: usize = 16 * 1024;

type Buffer = Zeroizing<Vec<u8>>;
/// Undoes an encoding; returns whether it was there.
type Step = fn(&[u8], &mut Vec<u8>) -> bool;

pub(super) struct Search<'a> {
    anywhere: &'a Matcher,
    words: &'a Matcher,
    /// The shortest value, in bytes.
    shortest: usize,
    markers: decode::Markers,
    work_left: usize,
    /// Buffers to decode into, zeroed at the end only.
    spare: Vec<Buffer>,
    /// Texts that are still to be decoded, by how often they were.
    pending: [Vec<Buffer>; MAX_DEPTH],
    /// What was decoded already: most encodings leave most of a text as it was.
    seen_texts: Seen,
    seen_runs: Seen,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        anywhere: &'a Matcher,
        words: &'a Matcher,
        shortest: usize,
        has_space: bool,
    ) -> Self {
        Self {
            anywhere,
            words,
            shortest,
            markers: decode::Markers {
                min_text: shortest,
                min_run: (shortest * 8).div_ceil(6),
                plus: has_space,
            },
            work_left: 0,
            spare: Vec::new(),
            pending: Default::default(),
            seen_texts: Seen::default(),
            seen_runs: Seen::default(),
        }
    }

    /// Returns whether a value is in `text`, or this cannot be said within bounds.
    pub(super) fn finds(mut self, text: &[u8]) -> bool {
        self.work_left = MIN_WORK_BYTES + MAX_WORK_RATIO * text.len();
        if self.visit(text, 0) {
            return true;
        }
        for depth in 0..MAX_DEPTH {
            for text in std::mem::take(&mut self.pending[depth]) {
                if self.decode(&text, depth + 1) {
                    return true;
                }
            }
        }
        false
    }

    /// Looks for the values in what was decoded `depth` times, and keeps what may be decoded further.
    fn visit(&mut self, bytes: &[u8], depth: usize) -> bool {
        let Some(work_left) = self.work_left.checked_sub(bytes.len()) else {
            return true;
        };
        self.work_left = work_left;
        if self.anywhere.is_in(bytes) || self.words.is_in(bytes) {
            return true;
        }
        if depth == MAX_DEPTH {
            return false;
        }
        let Self {
            pending,
            seen_texts,
            markers,
            ..
        } = self;
        decode::text_pieces(bytes, markers, |text| {
            if seen_texts.is_new(text, depth) {
                pending[depth].push(Zeroizing::new(text.to_vec()));
            }
        });
        decode::has_utf16(bytes) && self.visit_utf16(bytes, depth + 1)
    }

    fn visit_utf16(&mut self, bytes: &[u8], depth: usize) -> bool {
        let units = [u16::from_le_bytes, u16::from_be_bytes];
        [0, 1].into_iter().any(|start| {
            units.into_iter().any(|unit| {
                self.with_buffer(bytes.len() * 3 / 2 + 4, |search, out| {
                    decode::utf16(&bytes[start..], unit, out);
                    search.visit(out, depth)
                })
            })
        })
    }

    /// Undoes each encoding that may be in a text, once.
    fn decode(&mut self, text: &[u8], depth: usize) -> bool {
        let has = |byte: u8| text.contains(&byte);
        let mut steps: Vec<Step> = Vec::new();
        if has(b'%') {
            steps.push(|text, out| decode::percent(text, false, out));
        }
        if self.markers.plus && has(b'+') {
            steps.push(|text, out| decode::percent(text, true, out));
        }
        if has(b'\\') {
            steps.push(decode::escapes);
        }
        if has(b'&') {
            steps.push(decode::entities);
        }
        let is_found = steps.into_iter().any(|step| {
            self.with_buffer(text.len() + 4, |search, out| {
                step(text, out) && search.visit(out, depth)
            })
        });
        is_found
            || decode::base64_runs(text, self.markers.min_run, |run| {
                self.seen_runs.is_new(run, depth) && self.decode_run(run, depth)
            })
    }

    /// Undoes base64 and hex, at every place where a group may begin.
    fn decode_run(&mut self, run: &[u8], depth: usize) -> bool {
        let min_hex = self.shortest * 2;
        self.with_buffer(run.len(), |search, sextets| {
            decode::sextets_of(run, sextets);
            (0..4).any(|start| {
                search.with_buffer(run.len(), |search, out| {
                    decode::base64(&sextets[start.min(sextets.len())..], out);
                    search.visit(out, depth)
                })
            })
        }) || decode::hex_runs(run, min_hex, |digits| {
            [0, 1].into_iter().any(|start| {
                self.with_buffer(run.len(), |search, out| {
                    decode::hex(&digits[start..], out);
                    search.visit(out, depth)
                })
            })
        })
    }

    /// Lends a buffer; what is decoded into it must fit, so that it never moves and leaves a copy behind.
    fn with_buffer(
        &mut self,
        capacity: usize,
        decode: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool,
    ) -> bool {
        let spare = self
            .spare
            .pop()
            .filter(|spare| spare.capacity() >= capacity);
        let mut out = spare.unwrap_or_else(|| Zeroizing::new(Vec::with_capacity(capacity)));
        out.clear();
        let is_found = decode(self, &mut out);
        self.spare.push(out);
        is_found
    }
}

/// Hashes of texts, each with how many encodings had been undone.
#[derive(Default)]
struct Seen(HashMap<u64, usize>);

impl Seen {
    /// Returns whether a text did not come up before with as many steps left; remembers it.
    fn is_new(&mut self, text: &[u8], depth: usize) -> bool {
        let known = self.0.entry(hash(text)).or_insert(usize::MAX);
        let is_new = depth < *known;
        *known = depth.min(*known);
        is_new
    }
}

/// Tells texts apart, quickly. A site that makes two of one hash could as well encrypt.
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    let hash = rest
        .iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    hash ^ (hash >> 29)
}
