//! Carries one stream's datagrams to its shard and back.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use authloop_relay::{
    LocalUfrag, MAX_DATAGRAM_BYTES, PathAddr, rfc4571,
    stun::{BindingMessage, StunClass},
    turn::{self, TurnConnection, TurnGrant, TurnVerdict},
};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{
    admission::StreamPlace, end::StreamEnd, meter::StreamMeter, protocol::StreamProtocol,
    shard_socket::ShardSocket,
};
use crate::shard::{LegEndpoint, RelayHandle, ShardError};

/// Bytes that the kernel may hold unsent.
pub(super) const MAX_UNSENT_BYTES: u32 = 16 * 1024;
/// Bytes that wait for the kernel; media beyond it is dropped.
const MAX_QUEUED_BYTES: usize = 128 * 1024;
/// Most bytes read from the client at once.
const READ_BYTES: usize = 16 * 1024;
/// Datagrams taken from the shard in a row, before the client has its turn again.
const MAX_DATAGRAMS_PER_TURN: usize = 32;
/// Silence after which a client is gone: checks come every few seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Time that closing a stream may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Carries a stream until it ends, and closes it. Its place becomes a proven one's once its client has
/// shown that it knows a leg's password.
pub(super) async fn run<S>(
    protocol: StreamProtocol,
    stream: S,
    client: SocketAddr,
    relay: RelayHandle,
    place: StreamPlace,
    meter: &StreamMeter,
    closing: &CancellationToken,
) -> StreamEnd
where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut bridge = match StreamBridge::new(protocol, client, relay, meter) {
        Ok(bridge) => bridge,
        Err(end) => return end,
    };
    let end = tokio::select! {
        end = carry(&mut bridge, place, &mut reader, &mut writer) => match end {
            Err(end) => end,
            Ok(never) => match never {},
        },
        () = closing.cancelled() => StreamEnd::Shutdown,
    };
    if let Some(shard_socket) = bridge.shard_socket {
        shard_socket.close().await;
    }
    // TLS says good-bye; a client that does not listen goes without.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, writer.shutdown()).await;
    end
}

async fn carry<R, W>(
    bridge: &mut StreamBridge<'_>,
    mut place: StreamPlace,
    reader: &mut R,
    writer: &mut W,
) -> Result<Infallible, StreamEnd>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut inbound = BytesMut::new();
    let mut datagram = [0; MAX_DATAGRAM_BYTES];
    let mut unflushed = false;
    let mut deadline = Instant::now() + place.proof_timeout();
    loop {
        inbound.reserve(READ_BYTES);
        tokio::select! {
            read = reader.read_buf(&mut inbound) => {
                let read = read?;
                if read == 0 {
                    return Err(StreamEnd::Closed);
                }
                bridge.meter.received.inc_by(read as u64);
                bridge.handle_inbound(&mut inbound).await?;
                if bridge.is_proven() {
                    place.prove()?;
                    deadline = Instant::now() + IDLE_TIMEOUT;
                }
            }
            written = write_or_flush(writer, &bridge.queue), if unflushed || !bridge.queue.is_empty() => {
                unflushed = !bridge.queue.is_empty();
                let written = written?;
                bridge.meter.sent.inc_by(written as u64);
                bridge.queue.advance(written);
            }
            received = receive(bridge.shard_socket.as_ref(), &mut datagram) => {
                bridge.queue_for_client(&datagram[..received?]);
                bridge.drain_shard_socket(&mut datagram);
            }
            () = place.displaced() => return Err(StreamEnd::Displaced),
            () = tokio::time::sleep_until(deadline.into()) => return Err(StreamEnd::Idle),
        }
    }
}

/// Writes, or flushes when there is nothing left to write: TLS may hold the end of what it took.
async fn write_or_flush(writer: &mut (impl AsyncWrite + Unpin), queue: &[u8]) -> io::Result<usize> {
    match queue {
        [] => writer.flush().await.map(|()| 0),
        _ => writer.write(queue).await,
    }
}

async fn receive(shard_socket: Option<&ShardSocket>, datagram: &mut [u8]) -> io::Result<usize> {
    match shard_socket {
        Some(shard_socket) => shard_socket.recv(datagram).await,
        None => std::future::pending().await,
    }
}

struct StreamBridge<'a> {
    meter: &'a StreamMeter,
    client: SocketAddr,
    framing: Framing,
    /// Dropped once it is not needed, so that no stream keeps the relay alive.
    relay: Option<RelayHandle>,
    shard_socket: Option<ShardSocket>,
    queue: BytesMut,
    frame: Vec<u8>,
}

enum Framing {
    Turn(Box<TurnConnection>),
    IceTcp,
}

impl<'a> StreamBridge<'a> {
    fn new(
        protocol: StreamProtocol,
        client: SocketAddr,
        relay: RelayHandle,
        meter: &'a StreamMeter,
    ) -> Result<Self, StreamEnd> {
        let framing = match protocol {
            StreamProtocol::IceTcp => Framing::IceTcp,
            StreamProtocol::Turn => {
                let mut nonce = [0; 16];
                getrandom::fill(&mut nonce).map_err(|_| ShardError::Entropy)?;
                Framing::Turn(Box::new(TurnConnection::new(client.into(), nonce)))
            }
        };
        Ok(Self {
            meter,
            client,
            framing,
            relay: Some(relay),
            shard_socket: None,
            queue: BytesMut::new(),
            frame: Vec::new(),
        })
    }

    /// Whether the client has shown that it knows its leg's password. Over TURN it has the leg before.
    fn is_proven(&self) -> bool {
        match &self.framing {
            Framing::IceTcp => self.shard_socket.is_some(),
            Framing::Turn(connection) => connection.relayed().is_some(),
        }
    }

    /// Handles every whole frame of the client's bytes.
    async fn handle_inbound(&mut self, inbound: &mut BytesMut) -> Result<(), StreamEnd> {
        let mut at = 0;
        while let Some(used) = match self.framing {
            Framing::IceTcp => self.handle_datagram(&inbound[at..]).await?,
            Framing::Turn(_) => self.handle_turn_frame(&inbound[at..]).await?,
        } {
            at += used;
        }
        inbound.advance(at);
        Ok(())
    }

    async fn handle_datagram(&mut self, stream: &[u8]) -> Result<Option<usize>, StreamEnd> {
        let Some((datagram, used)) = rfc4571::split(stream).map_err(|_| StreamEnd::Protocol)?
        else {
            return Ok(None);
        };
        if self.shard_socket.is_none() {
            self.shard_socket = Some(self.authenticate(datagram).await?);
        }
        self.send(datagram)?;
        Ok(Some(used))
    }

    /// The first datagram has to be a check with the leg's password.
    async fn authenticate(&mut self, datagram: &[u8]) -> Result<ShardSocket, StreamEnd> {
        let check = BindingMessage::parse(datagram).map_err(|_| StreamEnd::Protocol)?;
        let username = check.username().ok_or(StreamEnd::Protocol)?;
        let ufrag = username.split(|byte| *byte == b':').next();
        let ufrag = ufrag.and_then(LocalUfrag::from_bytes);
        let leg = self.find(ufrag.ok_or(StreamEnd::Unproven)?).await?;
        let proven = check.class() == StunClass::Request
            && check.fingerprint_holds()
            && check.integrity_holds(leg.pwd.as_str().as_bytes());
        if !proven {
            return Err(StreamEnd::Unproven);
        }
        let mut shard_socket = ShardSocket::connect(&leg).await?;
        shard_socket.set_name(self.client).await?;
        Ok(shard_socket)
    }

    async fn handle_turn_frame(&mut self, stream: &[u8]) -> Result<Option<usize>, StreamEnd> {
        let Some((frame, used)) = turn::split(stream).map_err(|_| StreamEnd::Protocol)? else {
            return Ok(None);
        };
        loop {
            let Framing::Turn(connection) = &mut self.framing else {
                return Err(StreamEnd::Protocol);
            };
            self.frame.clear();
            let verdict = connection.handle_frame(Instant::now(), frame, &mut self.frame);
            if self.queue.len() + self.frame.len() > MAX_QUEUED_BYTES {
                return Err(StreamEnd::Stuck);
            }
            self.queue.extend_from_slice(&self.frame);
            // Before the client hears of it, and so before it can send anything from there.
            if let (Some(relayed), Some(shard_socket)) =
                (connection.relayed(), &mut self.shard_socket)
            {
                shard_socket.set_name(relayed.to_socket_addr()).await?;
            }
            match verdict {
                TurnVerdict::Done => {}
                TurnVerdict::ToRelay(datagram) => self.send(datagram)?,
                TurnVerdict::Close => return Err(StreamEnd::Protocol),
                TurnVerdict::NeedLeg(ufrag) => {
                    self.grant(ufrag).await?;
                    continue;
                }
            }
            return Ok(Some(used));
        }
    }

    async fn grant(&mut self, ufrag: LocalUfrag) -> Result<(), StreamEnd> {
        let leg = self.find(ufrag).await?;
        let shard_socket = ShardSocket::connect(&leg).await?;
        let Framing::Turn(connection) = &mut self.framing else {
            return Err(StreamEnd::Protocol);
        };
        connection.grant(TurnGrant {
            ufrag,
            candidates: leg
                .shard
                .candidates
                .into_iter()
                .map(PathAddr::from)
                .collect(),
            pwd: leg.pwd,
        });
        self.shard_socket = Some(shard_socket);
        Ok(())
    }

    /// Finds the leg; a stream may do so once.
    async fn find(&mut self, ufrag: LocalUfrag) -> Result<LegEndpoint, StreamEnd> {
        let relay = self.relay.take().ok_or(StreamEnd::Unproven)?;
        relay.find_leg(ufrag).await?.ok_or(StreamEnd::Unproven)
    }

    /// Sends to the shard as UDP does: what does not fit is lost.
    fn send(&self, datagram: &[u8]) -> Result<(), StreamEnd> {
        let Some(shard_socket) = &self.shard_socket else {
            return Ok(());
        };
        match shard_socket.try_send(datagram) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) => self.meter.relay_full.inc(),
            Ok(_) => {}
        }
        Ok(())
    }

    /// Queues a datagram for the client; what its connection does not take in time is lost.
    fn queue_for_client(&mut self, datagram: &[u8]) {
        self.frame.clear();
        let framed = match &mut self.framing {
            Framing::IceTcp => rfc4571::write(&mut self.frame, datagram),
            Framing::Turn(turn) => turn.wrap(Instant::now(), datagram, &mut self.frame),
        };
        if !framed {
            self.meter.not_permitted.inc();
        } else if self.queue.len() + self.frame.len() > MAX_QUEUED_BYTES {
            self.meter.queue_full.inc();
        } else {
            self.queue.extend_from_slice(&self.frame);
        }
    }

    fn drain_shard_socket(&mut self, datagram: &mut [u8]) {
        for _ in 1..MAX_DATAGRAMS_PER_TURN {
            let received = self
                .shard_socket
                .as_ref()
                .map(|shard_socket| shard_socket.try_recv(datagram));
            // An error comes again when the stream next waits for a datagram.
            let Some(Ok(length)) = received else {
                return;
            };
            self.queue_for_client(&datagram[..length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn bridge(framing: Framing, meter: &StreamMeter) -> StreamBridge<'_> {
        StreamBridge {
            meter,
            client: "192.0.2.1:9".parse().unwrap(),
            framing,
            relay: None,
            shard_socket: None,
            queue: BytesMut::new(),
            frame: Vec::new(),
        }
    }

    #[test]
    fn media_beyond_the_queue_is_dropped_and_counted() {
        let metrics = Metrics::new().unwrap();
        let meter = StreamMeter::start(metrics.streams(), StreamProtocol::IceTcp);
        let mut bridge = bridge(Framing::IceTcp, &meter);
        let datagram = [128; 1_200];
        let fit = MAX_QUEUED_BYTES / (datagram.len() + 2);

        for _ in 0..fit + 50 {
            bridge.queue_for_client(&datagram);
        }

        assert_eq!(bridge.queue.len(), fit * (datagram.len() + 2));
        assert!(bridge.queue.len() <= 128 * 1024);
        assert_eq!(meter.queue_full.get(), 50);
    }

    #[tokio::test]
    async fn a_turn_client_that_asks_and_never_reads_is_let_go() {
        let metrics = Metrics::new().unwrap();
        let meter = StreamMeter::start(metrics.streams(), StreamProtocol::Turn);
        let client: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let connection = TurnConnection::new(client.into(), [1; 16]);
        let mut bridge = bridge(Framing::Turn(Box::new(connection)), &meter);
        bridge.queue.resize(MAX_QUEUED_BYTES, 0);
        // An Allocate without credentials: its challenge has no room any more.
        let allocate = [&[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();

        let end = bridge.handle_turn_frame(&allocate).await;

        assert!(matches!(end, Err(StreamEnd::Stuck)), "{end:?}");
        assert_eq!(bridge.queue.len(), MAX_QUEUED_BYTES);
    }
}
