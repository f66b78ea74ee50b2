//! Whatever is done to a log shows.

use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::*;

/// Segments of these sizes, each line with its line feed.
fn log(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut chain = Chain::NEW;
    let mut segments = Vec::new();
    for size in sizes {
        let mut segment = Vec::new();
        for n in 0..*size {
            let name = match n {
                0 => SEGMENT_STARTED,
                _ => "session_claimed",
            };
            let event = json!({ "event": name, "session": format!("\"{n}\u{e9}\"") });
            let line = chain.append("2026-11-25T12:00:00.000Z", &event).unwrap();
            segment.extend_from_slice(line.as_bytes());
            segment.push(b'\n');
        }
        segments.push(segment);
    }
    segments
}

/// The head, or the first flaw and its line in all, from 1.
fn check(segments: &[Vec<u8>]) -> Result<LineHash, (usize, LineFlaw)> {
    let mut verifier = ChainVerifier::default();
    let mut count = 0;
    for segment in segments {
        verifier.begin_segment();
        for line in segment.split_inclusive(|byte| *byte == b'\n') {
            count += 1;
            let whole = line.strip_suffix(b"\n").ok_or((count, LineFlaw::Torn))?;
            verifier.line(whole).map_err(|flaw| (count, flaw))?;
        }
    }
    Ok(verifier.chain().head)
}

fn lines(segment: &[u8]) -> Vec<Vec<u8>> {
    let lines = segment.split_inclusive(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

fn last_line(segment: &[u8]) -> Vec<u8> {
    let mut last = lines(segment).pop().unwrap();
    last.pop();
    last
}

#[test]
fn a_log_as_it_was_written_is_good_and_ends_with_its_head() {
    let segments = log(&[3, 1, 4]);
    assert_eq!(check(&segments), Ok(LineHash::of(&last_line(&segments[2]))));
    let first = &lines(&segments[0])[0];
    let first: serde_json::Value = serde_json::from_slice(first).unwrap();
    assert_eq!(
        (&first["seq"], &first["prev"]),
        (&json!(1), &json!("0".repeat(64)))
    );
}

#[test]
fn without_its_oldest_segments_it_is_still_good_but_not_without_one_between() {
    let segments = log(&[3, 2, 4]);
    assert!(check(&segments[1..]).is_ok() && check(&segments[2..]).is_ok());
    let gap = [segments[0].clone(), segments[2].clone()];
    assert!(matches!(
        check(&gap),
        Err((
            4,
            LineFlaw::Sequence {
                expected: 4,
                found: 6
            }
        ))
    ));
}

#[test]
fn the_first_flaw_is_named_by_its_line() {
    let mut segments = log(&[4]);
    let text = String::from_utf8(segments[0].clone()).unwrap();
    segments[0] = text.replacen("\\\"2", "\\\"9", 1).into_bytes();
    assert_eq!(check(&segments), Err((3, LineFlaw::Hash)));
    assert!(!LineFlaw::Hash.to_string().is_empty());
}

#[test]
fn a_line_that_was_written_anew_with_its_own_hash_is_found_by_the_next() {
    let segments = log(&[4]);
    let mut lines = lines(&segments[0]);
    let mut forged = Chain {
        next: 2,
        head: LineHash::of(lines[0].strip_suffix(b"\n").unwrap()),
    };
    let event = json!({ "event": "session_claimed", "session": "another" });
    let forged = forged.append("2026-11-25T12:00:00.000Z", &event).unwrap();
    lines[1] = format!("{forged}\n").into_bytes();
    assert_eq!(check(&[lines.concat()]), Err((3, LineFlaw::Previous)));
}

/// What only a head that is kept elsewhere shows (SECURITY.md).
#[test]
fn a_chain_cut_at_its_end_is_good_by_itself_and_has_another_head() {
    let segments = log(&[4]);
    let whole = check(&segments).unwrap();
    let mut shorter = lines(&segments[0]);
    shorter.pop();
    let cut = check(&[shorter.concat()]).unwrap();
    assert_ne!(cut, whole);
}

#[test]
fn hashes_are_read_as_they_are_written() {
    let hash = LineHash::of(b"line");
    assert_eq!(LineHash::parse(&hash.to_string()), Some(hash));
    let upper = hash.to_string().to_uppercase();
    for wrong in [upper.as_str(), "", "00"] {
        assert_eq!(LineHash::parse(wrong), None);
    }
}

proptest! {
    #[test]
    fn any_changed_byte_is_found(
        sizes in prop::collection::vec(1..5usize, 1..4),
        at in any::<Index>(),
        change in 1..=255u8,
    ) {
        let mut segments = log(&sizes);
        let total = segments.iter().map(Vec::len).sum::<usize>();
        let mut at = at.index(total);
        for segment in &mut segments {
            if at < segment.len() {
                segment[at] ^= change;
                break;
            }
            at -= segment.len();
        }
        prop_assert!(check(&segments).is_err());
    }

    #[test]
    fn any_dropped_swapped_or_repeated_line_is_found(
        sizes in prop::collection::vec(2..6usize, 1..4),
        which in any::<Index>(),
        one in any::<Index>(),
        other in any::<Index>(),
        what in 0..3,
    ) {
        let mut segments = log(&sizes);
        let whole = check(&segments).unwrap();
        let which = which.index(segments.len());
        let mut lines = lines(&segments[which]);
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        match what {
            0 => drop(lines.remove(one)),
            1 => {
                prop_assume!(one != other);
                lines.swap(one, other);
            }
            _ => lines.insert(other, lines[one].clone()),
        }
        segments[which] = lines.concat();
        // The last line's absence shows by the head only.
        prop_assert_ne!(check(&segments).ok(), Some(whole));
        let is_last = what == 0 && which + 1 == sizes.len() && one + 1 == sizes[which];
        prop_assert!(is_last || check(&segments).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut verifier = ChainVerifier::default();
        prop_assert!(verifier.line(&bytes).is_err());
        let _ = (verifier.chain(), verifier.first());
    }
}
