//! `authloop relay-only`: the relay as `serve` runs it, without signaling, for benchmarks.
//!
//! It prints the relay's address, then runs one command a line until its input ends:
//! - `open ID UFRAG PWD` opens a session (ID in 32 hexadecimal digits) whose two endpoints have
//!   these credentials, and prints the host leg's ufrag and pwd, then the viewer leg's;
//! - `stats` prints what was counted since the start.

use std::{
    io::{BufRead as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use authloop_relay::Leg;

use crate::shard::{self, RelayConfig, RelayHandle};

/// Flags of `relay-only`.
#[derive(Debug, clap::Args)]
pub struct RelayOnlyArgs {
    /// How long packets may gather under load, in microseconds; zero: never.
    #[arg(long, default_value_t = RelayConfig::DEFAULT_COALESCE_DELAY.as_micros() as u64)]
    gather_micros: u64,
}

/// Relays until standard input ends.
///
/// # Errors
/// When the relay does not start, or a line is no command.
pub fn run(args: &RelayOnlyArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (relay, events) = shard::start(&RelayConfig {
        listen: SocketAddr::new(loopback, 0),
        advertise: vec![loopback.into()],
        shards: 1,
        coalesce_delay: Duration::from_micros(args.gather_micros),
    })?;
    drop(events);
    // Only a session tells the port.
    let probe = [0xff; 16];
    let [host, _] = runtime.block_on(relay.open(probe))?;
    runtime.block_on(relay.close(probe))?;
    print_line(&host.candidates[0].to_string())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["open", id, ufrag, pwd] => runtime.block_on(open(&relay, id, ufrag, pwd))?,
            ["stats"] => format!("{:?}", runtime.block_on(relay.stats())?),
            _ => bail!("`{line}` is neither `open ID UFRAG PWD` nor `stats`"),
        };
        print_line(&answer)?;
    }
    Ok(())
}

async fn open(relay: &RelayHandle, id: &str, ufrag: &str, pwd: &str) -> anyhow::Result<String> {
    let mut session = [0; 16];
    hex::decode_to_slice(id, &mut session)
        .with_context(|| format!("`{id}` must be 32 hexadecimal digits"))?;
    let [host, viewer] = relay.open(session).await?;
    for leg in [Leg::Host, Leg::Viewer] {
        relay.set_remote(session, leg, ufrag, pwd).await?;
    }
    Ok(format!(
        "{} {} {} {}",
        host.ufrag, host.pwd, viewer.ufrag, viewer.pwd
    ))
}

fn print_line(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
