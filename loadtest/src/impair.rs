//! A UDP proxy on loopback that makes a good network bad: the sockets before [`link`].
//!
//! It prints where it listens, then takes one [`ImpairCommand`] a line on its standard input and answers
//! each with an [`ImpairReport`]; it ends with its input.

mod link;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use link::{ImpairedLink, Impairment, LinkCounters};

/// The largest UDP payload.
const MAX_DATAGRAM_BYTES: usize = 65_507;
/// Clients at a time: a browser tries a few sockets, and again after each ICE restart.
const MAX_CLIENTS: usize = 64;
/// Datagrams that may wait to be read from all clients' sockets.
const MAX_QUEUED_DATAGRAMS: usize = 4096;

#[derive(Debug, Args)]
pub(crate) struct ImpairOptions {
    /// Where clients send to.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where it goes.
    #[arg(long)]
    upstream: SocketAddr,
    /// The same seed loses the same packets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Changes the impairment; what is not named stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImpairCommand {
    /// Towards the clients.
    down: Option<Impairment>,
    /// Towards the upstream.
    up: Option<Impairment>,
}

#[derive(Debug, Serialize)]
struct ImpairReport {
    down: LinkCounters,
    up: LinkCounters,
}

pub(crate) fn run(options: &ImpairOptions) -> Result<()> {
    for address in [options.listen, options.upstream] {
        ensure!(
            address.ip().is_loopback(),
            "{address} is not a loopback address"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

/// A socket of the proxy's own for each client, so that the upstream tells them apart.
struct ClientSockets {
    upstream: SocketAddr,
    sockets: HashMap<SocketAddr, Arc<UdpSocket>>,
    received: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl ClientSockets {
    async fn socket(&mut self, client: SocketAddr) -> Result<Arc<UdpSocket>> {
        if let Some(socket) = self.sockets.get(&client) {
            return Ok(socket.clone());
        }
        if self.sockets.len() >= MAX_CLIENTS {
            bail!("more than {MAX_CLIENTS} clients");
        }
        let socket = Arc::new(UdpSocket::bind((client.ip(), 0)).await?);
        socket.connect(self.upstream).await?;
        self.sockets.insert(client, socket.clone());
        let (reader, received) = (socket.clone(), self.received.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
            loop {
                match reader.recv(&mut buffer).await {
                    Ok(length) => {
                        if received
                            .send((client, buffer[..length].to_vec()))
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                    // The upstream is away for a while (ICMP); clients go on.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(socket)
    }
}

async fn serve(options: &ImpairOptions) -> Result<()> {
    let front = UdpSocket::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    println!(
        "{}",
        serde_json::json!({ "event": "listening", "udp": front.local_addr()? })
    );
    let (received, mut answers) = mpsc::channel(MAX_QUEUED_DATAGRAMS);
    let mut clients = ClientSockets {
        upstream: options.upstream,
        sockets: HashMap::new(),
        received,
    };
    let mut down = ImpairedLink::new(Impairment::default(), options.seed);
    let mut up = ImpairedLink::new(Impairment::default(), options.seed.wrapping_add(1));
    let start = Instant::now();
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let next = [down.next(), up.next()].into_iter().flatten().min();
        tokio::select! {
            read = front.recv_from(&mut buffer) => {
                if let Ok((length, client)) = read {
                    up.push(start.elapsed(), length, (client, buffer[..length].to_vec()));
                }
            }
            Some((client, packet)) = answers.recv() => {
                down.push(start.elapsed(), packet.len(), (client, packet));
            }
            () = sleep_until(start + next.unwrap_or_default()), if next.is_some() => {}
            line = commands.next_line() => match line? {
                None => return Ok(()),
                Some(line) => {
                    apply_command(&line, &mut down, &mut up)?;
                    let report = ImpairReport { down: down.counters(), up: up.counters() };
                    println!("{}", serde_json::to_string(&report)?);
                }
            }
        }
        let now = start.elapsed();
        while let Some((client, packet)) = down.pop(now) {
            let _gone = front.try_send_to(&packet, client);
        }
        while let Some((client, packet)) = up.pop(now) {
            let _gone = clients.socket(client).await?.try_send(&packet);
        }
    }
}

fn apply_command<T>(
    line: &str,
    down: &mut ImpairedLink<T>,
    up: &mut ImpairedLink<T>,
) -> Result<()> {
    let command: ImpairCommand = serde_json::from_str(line).context("not a command")?;
    for (link, impairment) in [(down, command.down), (up, command.up)] {
        let Some(impairment) = impairment else {
            continue;
        };
        if let Some(error) = impairment.error() {
            bail!(error);
        }
        link.set(impairment);
    }
    Ok(())
}
