//! A shard's thread: receive a batch, decide, send a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use authloop_relay::{LegCredentials, Legs, Relay, RelayEvent, RelaySessionId};
use tokio::sync::mpsc;

use super::cadence::{Cadence, Next};
use super::command::Command;
use super::socket::{self, BATCH, Patience, Received, RxBatch, Socket, TxBatch, Waker};
use super::{RelayStats, ShardError, SocketStats};

/// Commands taken between two batches, so that they never hold up media for long.
const COMMANDS_PER_TURN: usize = 32;

pub(super) struct Worker {
    relay: Relay,
    socket: Socket,
    waker: Arc<Waker>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<RelayEvent>,
    stop: Arc<AtomicBool>,
    rx: RxBatch,
    tx: TxBatch,
    stats: SocketStats,
    cadence: Cadence,
}

impl Worker {
    pub(super) fn new(
        gather: Duration,
        socket: Socket,
        waker: Arc<Waker>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<RelayEvent>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ShardError> {
        let now = Instant::now();
        Ok(Self {
            relay: Relay::new(now, entropy()?),
            socket,
            waker,
            commands,
            events,
            stop,
            rx: RxBatch::new(),
            tx: TxBatch::new(),
            stats: SocketStats::default(),
            cadence: Cadence::new(now, gather),
        })
    }

    pub(super) fn run(mut self) {
        socket::sleep_exactly();
        let mut patience = Patience::None;
        while !self.stop.load(Ordering::Acquire) {
            let received = self.receive(std::mem::take(&mut patience));
            let now = Instant::now();
            self.pass_on(now, received);
            if self.relay.poll_timeout().is_some_and(|due| due <= now) {
                self.relay.handle_timeout(now);
            }
            self.obey(now);
            if self.relay.has_event() {
                self.report();
            }
            match self.cadence.after(now, received, BATCH) {
                Next::Again => {}
                Next::Nap(time) => std::thread::sleep(time),
                Next::Linger => patience = Patience::Some,
                Next::Wait => self.wait(),
            }
        }
    }

    fn receive(&mut self, patience: Patience) -> usize {
        match self.socket.receive(&mut self.rx, patience) {
            Ok(0) => 0,
            Ok(received) => {
                self.stats.receive_batches.count(received);
                received
            }
            Err(_) => {
                self.stats.receive_errors += 1;
                0
            }
        }
    }

    /// The packet's whole way through the relay.
    fn pass_on(&mut self, now: Instant, received: usize) {
        for index in 0..received {
            let Received {
                from,
                payload,
                truncated,
            } = self.rx.get(index);
            self.stats.received_packets += 1;
            self.stats.received_bytes += payload.len() as u64;
            if truncated {
                self.stats.truncated += 1;
                continue;
            }
            if let Some(to) = self.relay.handle_input(now, from, payload) {
                self.tx.push_received(to, index, payload.len());
            } else {
                self.drain_output();
            }
            if self.tx.is_full() {
                self.tx.send(&self.socket, &self.rx, &mut self.stats);
            }
        }
        self.tx.send(&self.socket, &self.rx, &mut self.stats);
    }

    /// Takes over what the relay itself has to say, in order with what is passed on.
    fn drain_output(&mut self) {
        while let Some(transmit) = self.relay.poll_output() {
            if !self.tx.push_copy(transmit.to, transmit.payload) {
                self.tx.send(&self.socket, &self.rx, &mut self.stats);
                self.tx.push_copy(transmit.to, transmit.payload);
            }
        }
    }

    fn obey(&mut self, now: Instant) {
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            // A caller that no longer waits for its answer is no concern of the shard's.
            match command {
                Command::Open { session, reply } => _ = reply.send(self.open(session)),
                Command::Restart {
                    session,
                    leg,
                    reply,
                } => {
                    let restarted = fresh_credentials().and_then(|credentials| {
                        self.relay.restart_leg(session, leg, credentials.clone())?;
                        Ok(credentials)
                    });
                    _ = reply.send(restarted);
                }
                Command::SetRemote {
                    session,
                    leg,
                    remote,
                    reply,
                } => {
                    let set = self.relay.set_remote_credentials(now, session, leg, remote);
                    _ = reply.send(set);
                }
                Command::Close { session, reply } => {
                    _ = reply.send(self.relay.close_session(session));
                }
                Command::FindLeg { ufrag, reply } => {
                    _ = reply.send(self.relay.leg_pwd(ufrag).cloned());
                }
                Command::Stats { reply } => _ = reply.send(self.stats()),
            }
            self.drain_output();
            self.tx.send(&self.socket, &self.rx, &mut self.stats);
        }
        // More may be waiting, and nobody will call again for them.
        self.waker.wake();
    }

    fn open(&mut self, session: RelaySessionId) -> Result<Legs<LegCredentials>, ShardError> {
        let credentials = Legs {
            host: fresh_credentials()?,
            viewer: fresh_credentials()?,
        };
        self.relay.open_session(session, credentials.clone())?;
        Ok(credentials)
    }

    /// Hands events over as far as their reader has room; the rest wait in the core.
    fn report(&mut self) {
        if self.events.is_closed() {
            while self.relay.poll_event().is_some() {}
            return;
        }
        while let Ok(permit) = self.events.try_reserve() {
            match self.relay.poll_event() {
                Some(event) => permit.send(event),
                None => return,
            }
        }
    }

    fn stats(&self) -> RelayStats {
        RelayStats {
            counters: *self.relay.counters(),
            socket: self.stats,
            sessions: self.relay.sessions(),
            connected_legs: self.relay.connected_legs(),
        }
    }

    fn wait(&mut self) {
        let due = self.relay.poll_timeout();
        let time = due.map(|due| due.saturating_duration_since(Instant::now()));
        if self.socket.wait(&self.waker, time).is_err() {
            self.stats.receive_errors += 1;
        }
    }
}

fn fresh_credentials() -> Result<LegCredentials, ShardError> {
    Ok(LegCredentials::from_entropy(&entropy()?))
}

fn entropy<const N: usize>() -> Result<[u8; N], ShardError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ShardError::Entropy)?;
    Ok(bytes)
}
