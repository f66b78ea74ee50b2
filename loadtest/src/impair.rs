//! A UDP proxy on loopback that makes a good network bad: the door before [`link`].
//!
//! It prints where it listens, then takes one [`Order`] a line on its standard input and answers
//! each with a [`Report`]; it ends with its input.

mod link;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use link::{Link, Tally, Weather};

/// The largest UDP payload.
const DATAGRAM: usize = 65_507;
/// Clients at a time: a browser tries a few sockets, and again after each ICE restart.
const CLIENTS: usize = 64;
/// Datagrams that may wait to be read from all clients' sockets.
const QUEUE: usize = 4096;

#[derive(Debug, Args)]
pub struct Options {
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

/// A change of the weather; what is not named stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Towards the clients.
    down: Option<Weather>,
    /// Towards the upstream.
    up: Option<Weather>,
}

#[derive(Debug, Serialize)]
struct Report {
    down: Tally,
    up: Tally,
}

pub fn run(options: &Options) -> Result<()> {
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
struct Clients {
    upstream: SocketAddr,
    sockets: HashMap<SocketAddr, Arc<UdpSocket>>,
    received: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl Clients {
    async fn socket(&mut self, client: SocketAddr) -> Result<Arc<UdpSocket>> {
        if let Some(socket) = self.sockets.get(&client) {
            return Ok(socket.clone());
        }
        if self.sockets.len() >= CLIENTS {
            bail!("more than {CLIENTS} clients");
        }
        let socket = Arc::new(UdpSocket::bind((client.ip(), 0)).await?);
        socket.connect(self.upstream).await?;
        self.sockets.insert(client, socket.clone());
        let (reader, received) = (socket.clone(), self.received.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM];
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

async fn serve(options: &Options) -> Result<()> {
    let front = UdpSocket::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    println!(
        "{}",
        serde_json::json!({ "event": "listening", "udp": front.local_addr()? })
    );
    let (received, mut answers) = mpsc::channel(QUEUE);
    let mut clients = Clients {
        upstream: options.upstream,
        sockets: HashMap::new(),
        received,
    };
    let mut down = Link::new(Weather::default(), options.seed);
    let mut up = Link::new(Weather::default(), options.seed.wrapping_add(1));
    let start = Instant::now();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut buffer = vec![0; DATAGRAM];
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
            line = orders.next_line() => match line? {
                None => return Ok(()),
                Some(line) => {
                    obey(&line, &mut down, &mut up)?;
                    let report = Report { down: down.tally(), up: up.tally() };
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

fn obey<T>(line: &str, down: &mut Link<T>, up: &mut Link<T>) -> Result<()> {
    let order: Order = serde_json::from_str(line).context("this is no order")?;
    for (link, weather) in [(down, order.down), (up, order.up)] {
        let Some(weather) = weather else { continue };
        if let Some(fault) = weather.fault() {
            bail!(fault);
        }
        link.set(weather);
    }
    Ok(())
}
