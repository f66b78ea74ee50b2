//! The relay at work: one thread and one UDP port per shard, driven from async code.
//!
//! A session lives on one shard whole, and both of its legs are told that shard's port. So no
//! packet ever crosses threads and no table is shared. `SO_REUSEPORT` on one port would hash the
//! two legs of a session to different sockets and need a lock, or a second hop, for each packet.
//! One shard, the default, is one UDP port.

mod advertised;
mod batch_policy;
mod client;
mod error;
#[expect(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form")]
mod socket;
mod stats;
mod worker;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use authloop_relay::{Leg, Legs, LocalUfrag, RelaySessionId, RemoteCredentials};
use tokio::sync::mpsc;

use client::ShardCommand;
use socket::{Socket, Waker};
use worker::Worker;

pub use authloop_relay::RelayEvent;

pub use advertised::AdvertisedAddress;
pub use client::LegIceParameters;
pub(crate) use client::{LegEndpoint, ShardClient};
pub use error::ShardError;
pub use stats::{BatchSizeHistogram, RelayStats, SocketStats};

/// Commands that may wait for one shard; more wait in their callers.
const MAX_QUEUED_COMMANDS: usize = 256;
/// Events that may wait for their reader; more wait in the core.
const MAX_QUEUED_EVENTS: usize = 1024;

/// Where the relay listens and what it tells endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// The first shard's address; shard `n` takes port + n. Port 0 lets the system choose each.
    pub listen: SocketAddr,
    /// Where endpoints reach the relay, best first.
    pub advertise: Vec<AdvertisedAddress>,
    /// Threads, each with a port of its own.
    pub shards: usize,
    /// Delay for which packets may gather when they come too fast to be worth a wake-up each; zero
    /// turns it off.
    pub coalesce_delay: Duration,
}

/// Drives the relay from async code; the relay ends with its last clone.
#[derive(Debug, Clone)]
pub struct RelayHandle(Arc<Shards>);

#[derive(Debug)]
struct Shards {
    clients: Vec<ShardClient>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// Starts the relay: the handle that drives it, and what happens to its legs.
///
/// # Errors
/// When the configuration cannot work, or a port or thread cannot be had.
pub fn start(
    config: &RelayConfig,
) -> Result<(RelayHandle, mpsc::Receiver<RelayEvent>), ShardError> {
    config.validate()?;
    let (events, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
    let mut shards = Shards {
        clients: Vec::with_capacity(config.shards),
        threads: Vec::with_capacity(config.shards),
        stop: Arc::default(),
    };
    for index in 0..config.shards {
        let addr = config.shard_addr(index)?;
        let bind = |source| ShardError::Bind { addr, source };
        let socket = Socket::bind(addr).map_err(bind)?;
        let local = socket.local_addr().map_err(bind)?;
        let waker = Arc::new(Waker::new().map_err(ShardError::Start)?);
        let (commands, inbox) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let (stop, events) = (Arc::clone(&shards.stop), events.clone());
        let worker = Worker::new(
            config.coalesce_delay,
            socket,
            Arc::clone(&waker),
            inbox,
            events,
            stop,
        )?;
        let thread = std::thread::Builder::new()
            .name(format!("relay-{index}"))
            .spawn(move || worker.run())
            .map_err(ShardError::Start)?;
        shards.threads.push(thread);
        shards.clients.push(ShardClient {
            commands,
            waker,
            candidates: config.candidates(index, local.port())?,
            local: loopback_if_unspecified(local),
        });
    }
    Ok((RelayHandle(Arc::new(shards)), receiver))
}

impl RelayConfig {
    /// A quarter of a millisecond: what a user cannot notice, and moves several packets a call.
    pub const DEFAULT_COALESCE_DELAY: Duration = Duration::from_micros(250);

    fn validate(&self) -> Result<(), ShardError> {
        if self.shards == 0 {
            return Err(ShardError::Config("at least one shard is needed"));
        }
        if self.advertise.is_empty() {
            return Err(ShardError::Config(
                "at least one advertised address is needed",
            ));
        }
        let mut ips = self.advertise.iter().map(|address| address.ip);
        if ips.any(|ip| ip.is_unspecified()) {
            return Err(ShardError::Config(
                "an advertised address must be a real one",
            ));
        }
        let mut ips = self.advertise.iter().map(|address| address.ip);
        if self.listen.is_ipv4() && ips.any(|ip| ip.is_ipv6()) {
            return Err(ShardError::Config("IPv6 is advertised but not listened on"));
        }
        Ok(())
    }

    fn shard_addr(&self, index: usize) -> Result<SocketAddr, ShardError> {
        let mut addr = self.listen;
        if addr.port() != 0 {
            let port = u16::try_from(index).ok();
            let port = port.and_then(|index| addr.port().checked_add(index));
            addr.set_port(port.ok_or(ShardError::Config("the shards' ports end beyond 65535"))?);
        }
        Ok(addr)
    }

    fn candidates(&self, shard: usize, bound: u16) -> Result<Vec<SocketAddr>, ShardError> {
        let addresses = self.advertise.iter();
        let candidates = addresses.map(|address| address.candidate(shard, bound));
        let candidates: Option<_> = candidates.collect();
        candidates.ok_or(ShardError::Config("advertised ports end beyond 65535"))
    }
}

impl RelayHandle {
    /// Opens a session: what to tell the host, then the viewer.
    ///
    /// # Errors
    /// When the id is in use or the relay has stopped.
    pub async fn open(&self, session: [u8; 16]) -> Result<[LegIceParameters; 2], ShardError> {
        let (session, client) = self.session(session);
        let Legs { host, viewer } = client
            .request(|reply| ShardCommand::Open { session, reply })
            .await??;
        Ok([client.leg_ice(&host), client.leg_ice(&viewer)])
    }

    /// Gives one leg new credentials, for its endpoint's ICE restart.
    ///
    /// # Errors
    /// When there is no such session or the relay has stopped.
    pub async fn restart(
        &self,
        session: [u8; 16],
        leg: Leg,
    ) -> Result<LegIceParameters, ShardError> {
        let (session, client) = self.session(session);
        let credentials = client
            .request(|reply| ShardCommand::Restart {
                session,
                leg,
                reply,
            })
            .await??;
        Ok(client.leg_ice(&credentials))
    }

    /// Tells the relay an endpoint's own ufrag and pwd, as soon as its description is known.
    ///
    /// Without them no address is ever proven: nothing is passed on from it, and it gets no more than
    /// three times what came from it.
    ///
    /// # Errors
    /// When they are no ICE credentials, there is no such session, or the relay has stopped.
    pub async fn set_remote(
        &self,
        session: [u8; 16],
        leg: Leg,
        ufrag: &str,
        pwd: &str,
    ) -> Result<(), ShardError> {
        let remote = RemoteCredentials::parse(ufrag, pwd)?;
        let (session, client) = self.session(session);
        client
            .request(|reply| ShardCommand::SetRemote {
                session,
                leg,
                remote,
                reply,
            })
            .await??;
        Ok(())
    }

    /// Ends a session; no event follows.
    ///
    /// # Errors
    /// When there is no such session or the relay has stopped.
    pub async fn close(&self, session: [u8; 16]) -> Result<(), ShardError> {
        let (session, client) = self.session(session);
        client
            .request(|reply| ShardCommand::Close { session, reply })
            .await??;
        Ok(())
    }

    /// The leg that a ufrag names, wherever it lives.
    ///
    /// # Errors
    /// When the relay has stopped.
    pub(crate) async fn find_leg(
        &self,
        ufrag: LocalUfrag,
    ) -> Result<Option<LegEndpoint>, ShardError> {
        for client in &self.0.clients {
            if let Some(pwd) = client
                .request(|reply| ShardCommand::FindLeg { ufrag, reply })
                .await?
            {
                let shard = client.clone();
                return Ok(Some(LegEndpoint { pwd, shard }));
            }
        }
        Ok(None)
    }

    /// Totals over all shards since the start.
    ///
    /// # Errors
    /// When the relay has stopped.
    pub async fn stats(&self) -> Result<RelayStats, ShardError> {
        let mut sum = RelayStats::default();
        for client in &self.0.clients {
            sum = sum.plus(
                &client
                    .request(|reply| ShardCommand::Stats { reply })
                    .await?,
            );
        }
        Ok(sum)
    }

    /// The session's shard: ids are random, so their first bytes spread evenly.
    fn session(&self, id: [u8; 16]) -> (RelaySessionId, &ShardClient) {
        let [b0, b1, b2, b3, ..] = id;
        let shard = u32::from_be_bytes([b0, b1, b2, b3]) as usize % self.0.clients.len();
        (RelaySessionId(id), &self.0.clients[shard])
    }
}

/// The address at which this machine reaches a socket that is bound to `local`.
fn loopback_if_unspecified(local: SocketAddr) -> SocketAddr {
    if local.ip().is_unspecified() {
        // A socket for all of IPv6 takes IPv4, too.
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.port())
    } else {
        local
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for client in &self.clients {
            client.waker.wake();
        }
        for thread in self.threads.drain(..) {
            // A shard that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
