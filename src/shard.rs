//! The relay at work: one thread and one UDP port per shard, driven from async code.
//!
//! A session lives on one shard whole, and both of its legs are told that shard's port. So no
//! packet ever crosses threads and no table is shared. `SO_REUSEPORT` on one port would hash the
//! two legs of a session to different sockets and need a lock, or a second hop, for each packet.
//! One shard, the default, is one UDP port.

mod cadence;
mod command;
#[expect(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form")]
mod socket;
mod stats;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use authloop_relay::{
    CredentialsError, Leg, Legs, LocalUfrag, RelayError, RelaySessionId, RemoteCredentials,
};
use tokio::sync::mpsc;

pub use authloop_relay::RelayEvent;
pub(crate) use command::LegDoor;
pub use command::LegIce;
pub use stats::{Batches, RelayStats, SocketStats};

use command::{Command, Link};
use socket::{Socket, Waker};
use worker::Worker;

/// Commands that may wait for a shard; more wait in their callers.
const COMMANDS: usize = 256;
/// Events that may wait for their reader; more wait in the core.
const EVENTS: usize = 1024;

/// Where the relay listens and what it tells endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// The first shard's address; shard `n` takes port + n. Port 0 lets the system choose each.
    pub listen: SocketAddr,
    /// Addresses under which endpoints reach the relay, best first.
    pub advertise: Vec<IpAddr>,
    /// Threads, each with a port of its own.
    pub shards: usize,
    /// How long packets may gather where more come than a wake-up each is worth; zero: never.
    pub gather: Duration,
}

/// Why the relay did not start, or did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The configuration cannot work.
    #[error("relay configuration: {0}")]
    Config(&'static str),
    /// The port cannot be had.
    #[error("cannot listen on UDP {addr}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread or waker could be made.
    #[error("cannot start a shard")]
    Start(#[source] io::Error),
    /// The system gave no randomness.
    #[error("the system's random generator failed")]
    Entropy,
    /// The shard has ended.
    #[error("the relay has stopped")]
    Stopped,
    /// The core refused.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The endpoint's credentials are none.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Async code's door to the relay; the relay ends with its last clone.
#[derive(Debug, Clone)]
pub struct RelayHandle(Arc<Shards>);

#[derive(Debug)]
struct Shards {
    links: Vec<Link>,
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
    let (events, receiver) = mpsc::channel(EVENTS);
    let mut shards = Shards {
        links: Vec::with_capacity(config.shards),
        threads: Vec::with_capacity(config.shards),
        stop: Arc::default(),
    };
    for index in 0..config.shards {
        let addr = config.shard_addr(index)?;
        let bind = |source| ShardError::Bind { addr, source };
        let socket = Socket::bind(addr).map_err(bind)?;
        let local = socket.local_addr().map_err(bind)?;
        let waker = Arc::new(Waker::new().map_err(ShardError::Start)?);
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (stop, events) = (Arc::clone(&shards.stop), events.clone());
        let worker = Worker::new(
            config.gather,
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
        shards.links.push(Link {
            commands,
            waker,
            candidates: config.candidates(local.port()),
            local: reachable(local),
        });
    }
    Ok((RelayHandle(Arc::new(shards)), receiver))
}

impl RelayConfig {
    /// A quarter of a millisecond: what a user cannot notice, and moves several packets a call.
    pub const GATHER: Duration = Duration::from_micros(250);

    fn validate(&self) -> Result<(), ShardError> {
        if self.shards == 0 {
            return Err(ShardError::Config("at least one shard is needed"));
        }
        if self.advertise.is_empty() {
            return Err(ShardError::Config(
                "at least one advertised address is needed",
            ));
        }
        if self.advertise.iter().any(IpAddr::is_unspecified) {
            return Err(ShardError::Config(
                "an advertised address must be a real one",
            ));
        }
        if self.listen.is_ipv4() && self.advertise.iter().any(IpAddr::is_ipv6) {
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

    fn candidates(&self, port: u16) -> Vec<SocketAddr> {
        let ips = self.advertise.iter();
        ips.map(|ip| SocketAddr::new(*ip, port)).collect()
    }
}

impl RelayHandle {
    /// Opens a session: what to tell the host, then the viewer.
    ///
    /// # Errors
    /// When the id is in use or the relay has stopped.
    pub async fn open(&self, session: [u8; 16]) -> Result<[LegIce; 2], ShardError> {
        let (session, link) = self.session(session);
        let Legs { host, viewer } = link.ask(|reply| Command::Open { session, reply }).await??;
        Ok([link.ice(&host), link.ice(&viewer)])
    }

    /// Gives one leg new credentials, for its endpoint's ICE restart.
    ///
    /// # Errors
    /// When there is no such session or the relay has stopped.
    pub async fn restart(&self, session: [u8; 16], leg: Leg) -> Result<LegIce, ShardError> {
        let (session, link) = self.session(session);
        let credentials = link
            .ask(|reply| Command::Restart {
                session,
                leg,
                reply,
            })
            .await??;
        Ok(link.ice(&credentials))
    }

    /// Tells the relay an endpoint's own ufrag and pwd, as soon as its description is known.
    ///
    /// Without them an address gets no more than three times what came from it, so media stalls.
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
        let (session, link) = self.session(session);
        link.ask(|reply| Command::SetRemote {
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
        let (session, link) = self.session(session);
        link.ask(|reply| Command::Close { session, reply })
            .await??;
        Ok(())
    }

    /// The leg that a ufrag names, wherever it lives.
    ///
    /// # Errors
    /// When the relay has stopped.
    pub(crate) async fn find_leg(&self, ufrag: LocalUfrag) -> Result<Option<LegDoor>, ShardError> {
        for link in &self.0.links {
            if let Some(pwd) = link.ask(|reply| Command::FindLeg { ufrag, reply }).await? {
                let (local, candidates) = (link.local, link.candidates.clone());
                return Ok(Some(LegDoor {
                    pwd,
                    local,
                    candidates,
                }));
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
        for link in &self.0.links {
            sum = sum.plus(&link.ask(|reply| Command::Stats { reply }).await?);
        }
        Ok(sum)
    }

    /// The session's shard: ids are random, so their first bytes spread evenly.
    fn session(&self, id: [u8; 16]) -> (RelaySessionId, &Link) {
        let [b0, b1, b2, b3, ..] = id;
        let shard = u32::from_be_bytes([b0, b1, b2, b3]) as usize % self.0.links.len();
        (RelaySessionId(id), &self.0.links[shard])
    }
}

/// Where this machine reaches a socket that is bound to `local`.
fn reachable(local: SocketAddr) -> SocketAddr {
    match local.ip().is_unspecified() {
        // A socket for all of IPv6 takes IPv4, too.
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.port()),
        false => local,
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for link in &self.links {
            link.waker.wake();
        }
        for thread in self.threads.drain(..) {
            // A shard that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
