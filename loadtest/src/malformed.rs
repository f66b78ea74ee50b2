//! A hundred million malformed datagrams through the core: nothing answered, nothing kept.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use authloop_relay::{
    LegCredentials, Legs, PathAddr, Relay, RelaySessionId,
    stun::{BindingRequest, TransactionId},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

/// Sessions that live meanwhile, so that near misses have something to miss.
const LIVE_SESSIONS: u16 = 1_000;
const DATAGRAMS_PER_TICK: u64 = 1_000_000;

/// How much to feed.
#[derive(Debug, Args)]
pub(crate) struct MalformedOptions {
    /// Datagrams.
    #[arg(long, default_value_t = 100_000_000)]
    count: u64,
    /// Where the sequence begins; printed, so that a failure can be repeated.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Feeds them all and checks that the relay stayed silent.
pub(crate) fn run(options: &MalformedOptions) -> Result<()> {
    println!("seed {}", options.seed);
    let start = Instant::now();
    let mut relay = Relay::new(start, [3; 32]);
    for n in 0..LIVE_SESSIONS {
        relay.open_session(session(n), legs(n))?;
    }
    let template = check(&legs(7).host);
    let bar = ProgressBar::new(options.count).with_style(ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} {per_sec}",
    )?);
    let mut random = options.seed.max(1);
    let mut buffer = [0u8; 1500];
    let mut now = start;
    for n in 0..options.count {
        let length = write_malformed(&mut random, &template, &mut buffer);
        let src = PathAddr::from_v4((next(&mut random) as u32).to_be_bytes(), random as u16);
        let forwarded = relay.handle_input(now, src, &buffer[..length]);
        ensure!(forwarded.is_none(), "datagram {n} was passed on");
        ensure!(relay.poll_output().is_none(), "datagram {n} was answered");
        if n % DATAGRAMS_PER_TICK == DATAGRAMS_PER_TICK - 1 {
            now += Duration::from_millis(125);
            relay.handle_timeout(now);
            bar.inc(DATAGRAMS_PER_TICK);
        }
    }
    bar.finish_and_clear();
    ensure!(relay.connected_legs() == 0, "a leg connected");
    let elapsed = start.elapsed();
    println!(
        "{} datagrams in {elapsed:.1?}, {:.0} ns each: none passed on, none answered",
        options.count,
        elapsed.as_nanos() as f64 / options.count as f64
    );
    println!("{:?}", relay.counters());
    Ok(())
}

/// One of: noise, noise behind a STUN header, a damaged check, a cut check, media from nowhere.
fn write_malformed(random: &mut u64, template: &[u8], out: &mut [u8; 1500]) -> usize {
    let dice = next(random);
    let length = match dice % 8 {
        0 | 1 => (dice >> 8) as usize % 200,
        2 => 20 + 4 * ((dice >> 8) as usize % 40),
        3 => (dice >> 8) as usize % template.len(),
        4..=6 => template.len(),
        _ => 1200,
    };
    if dice % 8 >= 3 && dice % 8 <= 6 {
        out[..length].copy_from_slice(&template[..length]);
        // Damage at one to four places, never enough to come round to the same byte. FINGERPRINT,
        // the last eight bytes, is spared: without it a check is still authentic.
        for _ in 0..=(dice >> 24) % 4 {
            let bits = next(random);
            let at = bits as usize % length.min(template.len() - 8).max(1);
            out[at] = out[at].wrapping_add(1 + (bits >> 32) as u8 % 63);
        }
        return length;
    }
    for chunk in out[..length.next_multiple_of(8).min(128)].chunks_mut(8) {
        let bytes = next(random).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    match dice % 8 {
        2 => {
            let body = (length - 20) as u16;
            out[..2].copy_from_slice(&[0, 1]);
            out[2..4].copy_from_slice(&body.to_be_bytes());
            out[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        7 => out[0] = [22, 128][(dice >> 40) as usize % 2],
        _ => {}
    }
    length
}

/// xorshift64*: quick, seeded, and good enough to be wrong in many ways.
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn session(n: u16) -> RelaySessionId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    RelaySessionId(id)
}

fn legs(n: u16) -> Legs<LegCredentials> {
    let [high, low] = n.to_be_bytes();
    let leg = |side| {
        let entropy = std::array::from_fn(|at| match at % 3 {
            0 => high,
            1 => low,
            _ => side,
        });
        LegCredentials::from_entropy(&entropy)
    };
    Legs {
        host: leg(1),
        viewer: leg(2),
    }
}

fn check(leg: &LegCredentials) -> Vec<u8> {
    let mut out = Vec::new();
    BindingRequest {
        transaction_id: TransactionId([9; 12]),
        to_ufrag: leg.ufrag.as_str().as_bytes(),
        from_ufrag: b"abcd",
        pwd: leg.pwd.as_str().as_bytes(),
        priority: 1,
        controlling: Some(1),
        use_candidate: true,
    }
    .write(&mut out);
    out
}
