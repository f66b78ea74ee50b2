//! Every file of the committed corpus, and a few thousand mutations of each, through its target.

use std::{fs, path::Path};

const MUTATIONS: u64 = 2_000;

type Target = fn(&[u8]);

#[test]
fn the_corpus_runs() {
    let targets: [(&str, Target); 5] = [
        ("stun", authloop_fuzz::stun),
        ("demux", authloop_fuzz::demux),
        ("relay", authloop_fuzz::relay),
        ("split", authloop_fuzz::stream::split),
        ("turn", |data| _ = authloop_fuzz::stream::turn(data)),
    ];
    for (name, target) in targets {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut files = 0;
        for file in fs::read_dir(&corpus).unwrap() {
            let path = file.unwrap().path();
            let seed = fs::read(&path).unwrap();
            println!("{}", path.display());
            target(&seed);
            for mutation in 0..MUTATIONS {
                target(&mutate(&seed, mutation));
            }
            files += 1;
        }
        assert!(files > 0, "{} is empty", corpus.display());
    }
}

/// A target that never gets past authentication would test nothing behind it.
#[test]
fn the_turn_target_reaches_the_relay() {
    let session = include_bytes!("../corpus/turn/session");
    assert!(authloop_fuzz::stream::turn(session) >= 2);
}

/// A few bytes changed, and the end cut or doubled, by number.
fn mutate(seed: &[u8], number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=next() % 4 {
        let at = next() % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = next() as u8;
        }
    }
    match next() % 4 {
        0 => bytes.truncate(next() % (seed.len() + 1)),
        1 => bytes.extend_from_within(..),
        _ => {}
    }
    bytes
}
