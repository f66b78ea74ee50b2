//! A shard's thread: receive a batch, decide, send a batch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use authloop_relay::{LegCredentials, Legs, PathAddr, Relay, RelayEvent, RelaySessionId};
use tokio::sync::mpsc;

use super::{
    batch_policy::{BatchPolicy, NextRead},
    client::{ReplySender, ShardCommand},
    error::ShardError,
    socket::{
        self, SOCKET_BUFFER_BYTES, Socket, Waker,
        batch::BATCH_SIZE,
        rx_batch::{Datagram, RecvMode, RxBatch},
        tx_batch::TxBatch,
    },
    stats::{RelayStats, SocketStats},
};

/// Commands handled between two batches, so that they never hold up media for long.
const MAX_COMMANDS_PER_BATCH: usize = 32;

/// Batches that can wait in the socket's buffer: what the smallest datagram takes of it, and that the
/// kernel may grant twice what is asked for.
const MAX_WAITING_BATCHES: usize = 2 * SOCKET_BUFFER_BYTES / MIN_BUFFERED_BYTES / BATCH_SIZE;
/// Bytes that the shortest datagram takes in a socket's buffer, at the very least.
const MIN_BUFFERED_BYTES: usize = 256;

pub(super) struct Worker {
    relay: Relay,
    socket: Socket,
    waker: Arc<Waker>,
    commands: mpsc::Receiver<ShardCommand>,
    events: mpsc::Sender<RelayEvent>,
    stop: Arc<AtomicBool>,
    rx: RxBatch,
    tx: TxBatch,
    stats: SocketStats,
    batching: BatchPolicy,
    forgetting: Vec<ForgetRequest>,
}

/// An address to forget, once all that was sent from it before has been handled.
struct ForgetRequest {
    addr: PathAddr,
    /// Full batches after which that is so even if datagrams never stop coming.
    full_batches_left: usize,
    reply: ReplySender<()>,
}

impl Worker {
    pub(super) fn new(
        coalesce_delay: Duration,
        socket: Socket,
        waker: Arc<Waker>,
        commands: mpsc::Receiver<ShardCommand>,
        events: mpsc::Sender<RelayEvent>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ShardError> {
        let now = Instant::now();
        Ok(Self {
            relay: Relay::new(now, entropy()?),
            rx: RxBatch::new(&socket),
            socket,
            waker,
            commands,
            events,
            stop,
            tx: TxBatch::new(),
            stats: SocketStats::default(),
            batching: BatchPolicy::new(now, coalesce_delay),
            forgetting: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        socket::sleep_exactly();
        let mut recv_mode = RecvMode::NonBlocking;
        while !self.stop.load(Ordering::Acquire) {
            let received = self.receive(std::mem::take(&mut recv_mode));
            let now = Instant::now();
            self.forward_batch(now, received);
            self.forget_addresses(received);
            if self.relay.poll_timeout().is_some_and(|due| due <= now) {
                self.relay.handle_timeout(now);
            }
            self.handle_commands(now);
            if self.relay.has_event() {
                self.emit_events();
            }
            match self.batching.after_batch(now, received, BATCH_SIZE) {
                _ if !self.forgetting.is_empty() => {}
                NextRead::Immediately => {}
                NextRead::AfterDelay(delay) => std::thread::sleep(delay),
                NextRead::BoundedWait => recv_mode = RecvMode::BoundedWait,
                NextRead::Block => self.block_until_ready(),
            }
        }
    }

    fn receive(&mut self, recv_mode: RecvMode) -> usize {
        match self.socket.receive(&mut self.rx, recv_mode) {
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

    /// Carries each packet of a batch the whole way through the relay.
    fn forward_batch(&mut self, now: Instant, received: usize) {
        for index in 0..received {
            let Datagram {
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

    /// Queues what the relay itself sends, in order with what it forwards.
    fn drain_output(&mut self) {
        while let Some(transmit) = self.relay.poll_output() {
            if !self.tx.push_copy(transmit.to, transmit.payload) {
                self.tx.send(&self.socket, &self.rx, &mut self.stats);
                self.tx.push_copy(transmit.to, transmit.payload);
            }
        }
    }

    fn handle_commands(&mut self, now: Instant) {
        for _ in 0..MAX_COMMANDS_PER_BATCH {
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            // A caller that no longer waits for its answer does not concern the shard.
            match command {
                ShardCommand::Open { session, reply } => _ = reply.send(self.open(session)),
                ShardCommand::Restart {
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
                ShardCommand::SetRemote {
                    session,
                    leg,
                    remote,
                    reply,
                } => {
                    let set = self.relay.set_remote_credentials(now, session, leg, remote);
                    _ = reply.send(set);
                }
                ShardCommand::Close { session, reply } => {
                    _ = reply.send(self.relay.close_session(session));
                }
                ShardCommand::FindLeg { ufrag, reply } => {
                    _ = reply.send(self.relay.leg_pwd(ufrag).cloned());
                }
                ShardCommand::NameAddress {
                    addr,
                    destination,
                    name,
                    reply,
                } => {
                    let addr = self.rx.path_addr(addr, destination);
                    self.relay.name_address(addr, name.into());
                    _ = reply.send(());
                }
                ShardCommand::ForgetAddress {
                    addr,
                    destination,
                    reply,
                } => self.forgetting.push(ForgetRequest {
                    addr: self.rx.path_addr(addr, destination),
                    full_batches_left: MAX_WAITING_BATCHES,
                    reply,
                }),
                ShardCommand::Stats { reply } => _ = reply.send(self.stats()),
            }
            self.drain_output();
            self.tx.send(&self.socket, &self.rx, &mut self.stats);
        }
        // More may be waiting, and nobody will wake the thread for them again.
        self.waker.wake();
    }

    /// Forgets the addresses that nothing in the socket's buffer can come from any more: a check
    /// that still waited there would make the address a path again.
    fn forget_addresses(&mut self, received: usize) {
        if self.forgetting.is_empty() {
            return;
        }
        let drained = received < BATCH_SIZE;
        for request in &mut self.forgetting {
            request.full_batches_left = request.full_batches_left.saturating_sub(1);
        }
        let due = |request: &mut ForgetRequest| drained || request.full_batches_left == 0;
        for request in self.forgetting.extract_if(.., due) {
            self.relay.forget_address(request.addr);
            // A caller that no longer waits for its answer does not concern the shard.
            _ = request.reply.send(());
        }
    }

    fn open(&mut self, session: RelaySessionId) -> Result<Legs<LegCredentials>, ShardError> {
        let credentials = Legs {
            host: fresh_credentials()?,
            viewer: fresh_credentials()?,
        };
        self.relay.open_session(session, credentials.clone())?;
        Ok(credentials)
    }

    /// Sends events while their reader has room; the rest wait in the core.
    fn emit_events(&mut self) {
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

    fn block_until_ready(&mut self) {
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
