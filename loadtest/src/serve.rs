//! The processes under test that this binary provides itself: the relay and the floors.

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, bail};
use authloop::shard::{self, RelayConfig, RelayHandle};
use authloop_relay::Leg;

use crate::{floor, ice};

/// What a child process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// The relay, as the server runs it.
    Relay,
    /// `recvfrom` and `sendto`.
    Recvfrom,
    /// `recvmmsg` and `sendmmsg`.
    Sendmmsg,
}

/// Serves on a port of the system's choice until standard input ends.
pub fn run(role: Role) -> Result<()> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match role {
        Role::Relay => relay(loopback),
        Role::Recvfrom | Role::Sendmmsg => {
            let socket = UdpSocket::bind(loopback)?;
            let socket = socket2::Socket::from(socket);
            socket.set_recv_buffer_size(8 << 20)?;
            socket.set_send_buffer_size(8 << 20)?;
            let socket = UdpSocket::from(socket);
            say(&format!("{}", socket.local_addr()?))?;
            std::thread::spawn(move || match role {
                Role::Recvfrom => floor::recvfrom_sendto(&socket),
                _ => floor::sendmmsg(&socket),
            });
            for line in std::io::stdin().lock().lines() {
                line?;
            }
            Ok(())
        }
    }
}

fn relay(listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let config = RelayConfig {
        listen,
        advertise: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        shards: 1,
    };
    let (handle, events) = shard::start(&config)?;
    drop(events);
    // The port is known from a first session only.
    let probe = runtime.block_on(handle.open([0xff; 16]))?;
    runtime.block_on(handle.close([0xff; 16]))?;
    say(&format!("{}", probe[0].candidates[0]))?;
    for line in std::io::stdin().lock().lines() {
        match line?.split_once(' ') {
            Some(("open", count)) => runtime.block_on(open(&handle, count.parse()?))?,
            Some(("stats", _)) => say(&format!("{:?}", runtime.block_on(handle.stats())?))?,
            other => bail!("no such command: {other:?}"),
        }
    }
    Ok(())
}

async fn open(handle: &RelayHandle, count: u32) -> Result<()> {
    for n in 0..count {
        let id = ice::session_id(n);
        let [host, viewer] = handle.open(id).await.context("opening a session")?;
        for leg in [Leg::Host, Leg::Viewer] {
            handle.set_remote(id, leg, &ice::ufrag(n), ice::PWD).await?;
        }
        say(&format!(
            "{} {} {} {}",
            host.ufrag, host.pwd, viewer.ufrag, viewer.pwd
        ))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
