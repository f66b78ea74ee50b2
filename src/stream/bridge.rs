//! One stream's way to its shard and back.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use authloop_relay::{
    LocalUfrag, MAX_DATAGRAM_BYTES, PathAddr, rfc4571,
    stun::{BindingMessage, StunClass},
    turn::{self, TurnConnection, TurnGrant, TurnVerdict},
};
use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UdpSocket,
};

use tokio_util::sync::CancellationToken;

use super::{Proto, meter::Meter};
use crate::shard::{LegEndpoint, RelayHandle, ShardError};

/// Bytes that the kernel may hold unsent.
pub(super) const MAX_UNSENT: u32 = 16 * 1024;
/// Bytes that wait for the kernel; media beyond it is dropped.
const MAX_QUEUE: usize = 128 * 1024;
/// Bytes read from the client at once.
const READ: usize = 16 * 1024;
/// Datagrams taken from the shard at once.
const BATCH: usize = 32;
/// A client that has not named its leg by then is none.
const PROOF: Duration = Duration::from_secs(10);
/// A client that says nothing for so long is gone: checks come every few seconds.
const IDLE: Duration = Duration::from_secs(90);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed")]
    Closed,
    #[error("the client fell silent")]
    Idle,
    #[error("the client does not read")]
    Stuck,
    #[error("the client broke the protocol")]
    Protocol,
    #[error("the client does not know its leg's credentials")]
    Unproven,
    #[error("the server goes down")]
    Shutdown,
    #[error(transparent)]
    Relay(#[from] ShardError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl End {
    /// Its name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Stuck => "stuck",
            Self::Protocol => "protocol",
            Self::Unproven => "unproven",
            Self::Shutdown => "shutdown",
            Self::Relay(_) => "relay",
            Self::Io(_) => "io",
        }
    }
}

/// Carries a stream until it ends, and closes it.
pub(super) async fn run<S>(
    proto: Proto,
    stream: S,
    client: SocketAddr,
    relay: RelayHandle,
    meter: &Meter,
    closing: &CancellationToken,
) -> End
where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let carried = async {
        let bridge = Bridge::new(proto, client, relay, meter)?;
        carry(bridge, &mut reader, &mut writer).await
    };
    let end = tokio::select! {
        end = carried => match end {
            Err(end) => end,
            Ok(never) => match never {},
        },
        () = closing.cancelled() => End::Shutdown,
    };
    // TLS says good-bye; a client that does not listen is left without.
    let _ = tokio::time::timeout(FAREWELL, writer.shutdown()).await;
    end
}

async fn carry<R, W>(
    mut bridge: Bridge<'_>,
    reader: &mut R,
    writer: &mut W,
) -> Result<Infallible, End>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut inbound = BytesMut::new();
    let mut datagram = [0; MAX_DATAGRAM_BYTES];
    let mut unflushed = false;
    let mut deadline = Instant::now() + PROOF;
    loop {
        inbound.reserve(READ);
        tokio::select! {
            read = reader.read_buf(&mut inbound) => {
                let read = read?;
                if read == 0 {
                    return Err(End::Closed);
                }
                bridge.meter.received.inc_by(read as u64);
                bridge.take_in(&mut inbound).await?;
                if bridge.door.is_some() {
                    deadline = Instant::now() + IDLE;
                }
            }
            written = push(writer, &bridge.queue), if unflushed || !bridge.queue.is_empty() => {
                unflushed = !bridge.queue.is_empty();
                let written = written?;
                bridge.meter.sent.inc_by(written as u64);
                bridge.queue.advance(written);
            }
            received = receive(bridge.door.as_ref(), &mut datagram) => {
                bridge.give_back(&datagram[..received?]);
                bridge.give_back_more(&mut datagram);
            }
            () = tokio::time::sleep_until(deadline.into()) => return Err(End::Idle),
        }
    }
}

/// Writes, or flushes when there is nothing left to write: TLS may hold the end of what it took.
async fn push(writer: &mut (impl AsyncWrite + Unpin), queue: &[u8]) -> io::Result<usize> {
    match queue {
        [] => writer.flush().await.map(|()| 0),
        _ => writer.write(queue).await,
    }
}

async fn receive(door: Option<&UdpSocket>, datagram: &mut [u8]) -> io::Result<usize> {
    match door {
        Some(door) => door.recv(datagram).await,
        None => std::future::pending().await,
    }
}

struct Bridge<'a> {
    meter: &'a Meter,
    codec: Codec,
    /// Let go once it is not needed, so that no stream keeps the relay alive.
    relay: Option<RelayHandle>,
    door: Option<UdpSocket>,
    queue: BytesMut,
    frame: Vec<u8>,
}

enum Codec {
    Turn(Box<TurnConnection>),
    IceTcp,
}

impl<'a> Bridge<'a> {
    fn new(
        proto: Proto,
        client: SocketAddr,
        relay: RelayHandle,
        meter: &'a Meter,
    ) -> Result<Self, End> {
        let codec = match proto {
            Proto::IceTcp => Codec::IceTcp,
            Proto::Turn => {
                let mut nonce = [0; 16];
                getrandom::fill(&mut nonce).map_err(|_| ShardError::Entropy)?;
                Codec::Turn(Box::new(TurnConnection::new(client.into(), nonce)))
            }
        };
        Ok(Self {
            meter,
            codec,
            relay: Some(relay),
            door: None,
            queue: BytesMut::new(),
            frame: Vec::new(),
        })
    }

    /// Takes every whole frame off the client's bytes.
    async fn take_in(&mut self, inbound: &mut BytesMut) -> Result<(), End> {
        let mut at = 0;
        while let Some(used) = match self.codec {
            Codec::IceTcp => self.take_datagram(&inbound[at..]).await?,
            Codec::Turn(_) => self.take_turn(&inbound[at..]).await?,
        } {
            at += used;
        }
        inbound.advance(at);
        Ok(())
    }

    async fn take_datagram(&mut self, stream: &[u8]) -> Result<Option<usize>, End> {
        let Some((datagram, used)) = rfc4571::split(stream).map_err(|_| End::Protocol)? else {
            return Ok(None);
        };
        if self.door.is_none() {
            self.door = Some(self.prove(datagram).await?);
        }
        self.send(datagram)?;
        Ok(Some(used))
    }

    /// The first datagram has to be a check with the leg's password.
    async fn prove(&mut self, datagram: &[u8]) -> Result<UdpSocket, End> {
        let check = BindingMessage::parse(datagram).map_err(|_| End::Protocol)?;
        let username = check.username().ok_or(End::Protocol)?;
        let ufrag = username.split(|byte| *byte == b':').next();
        let ufrag = ufrag.and_then(LocalUfrag::from_bytes);
        let leg = self.find(ufrag.ok_or(End::Unproven)?).await?;
        let proven = check.class() == StunClass::Request
            && check.fingerprint_holds()
            && check.integrity_holds(leg.pwd.as_str().as_bytes());
        match proven {
            true => open(&leg).await,
            false => Err(End::Unproven),
        }
    }

    async fn take_turn(&mut self, stream: &[u8]) -> Result<Option<usize>, End> {
        let Some((frame, used)) = turn::split(stream).map_err(|_| End::Protocol)? else {
            return Ok(None);
        };
        loop {
            let Codec::Turn(connection) = &mut self.codec else {
                return Err(End::Protocol);
            };
            self.frame.clear();
            let verdict = connection.handle_frame(Instant::now(), frame, &mut self.frame);
            if self.queue.len() + self.frame.len() > MAX_QUEUE {
                return Err(End::Stuck);
            }
            self.queue.extend_from_slice(&self.frame);
            match verdict {
                TurnVerdict::Done => {}
                TurnVerdict::ToRelay(datagram) => self.send(datagram)?,
                TurnVerdict::Close => return Err(End::Protocol),
                TurnVerdict::NeedLeg(ufrag) => {
                    self.grant(ufrag).await?;
                    continue;
                }
            }
            return Ok(Some(used));
        }
    }

    async fn grant(&mut self, ufrag: LocalUfrag) -> Result<(), End> {
        let leg = self.find(ufrag).await?;
        let door = open(&leg).await?;
        let Codec::Turn(connection) = &mut self.codec else {
            return Err(End::Protocol);
        };
        connection.grant(TurnGrant {
            ufrag,
            relayed: door.local_addr()?.into(),
            candidates: leg.candidates.into_iter().map(PathAddr::from).collect(),
            pwd: leg.pwd,
        });
        self.door = Some(door);
        Ok(())
    }

    /// A stream looks one leg up, once.
    async fn find(&mut self, ufrag: LocalUfrag) -> Result<LegEndpoint, End> {
        let relay = self.relay.take().ok_or(End::Unproven)?;
        relay.find_leg(ufrag).await?.ok_or(End::Unproven)
    }

    /// To the shard, as UDP does it: what does not fit is lost.
    fn send(&self, datagram: &[u8]) -> Result<(), End> {
        let Some(door) = &self.door else {
            return Ok(());
        };
        match door.try_send(datagram) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) => self.meter.relay_full.inc(),
            Ok(_) => {}
        }
        Ok(())
    }

    /// To the client; what its connection does not take in time is lost.
    fn give_back(&mut self, datagram: &[u8]) {
        self.frame.clear();
        let framed = match &mut self.codec {
            Codec::IceTcp => rfc4571::write(&mut self.frame, datagram),
            Codec::Turn(turn) => turn.wrap(Instant::now(), datagram, &mut self.frame),
        };
        if !framed {
            self.meter.not_permitted.inc();
        } else if self.queue.len() + self.frame.len() > MAX_QUEUE {
            self.meter.queue_full.inc();
        } else {
            self.queue.extend_from_slice(&self.frame);
        }
    }

    fn give_back_more(&mut self, datagram: &mut [u8]) {
        for _ in 1..BATCH {
            let received = self.door.as_ref().map(|door| door.try_recv(datagram));
            // An error comes again when the stream next waits for a datagram.
            let Some(Ok(length)) = received else {
                return;
            };
            self.give_back(&datagram[..length]);
        }
    }
}

/// A socket that the shard sees as one more endpoint.
async fn open(leg: &LegEndpoint) -> Result<UdpSocket, End> {
    let any: IpAddr = match leg.local {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let door = UdpSocket::bind((any, 0)).await?;
    door.connect(leg.local).await?;
    // Until the runtime has heard of it, a new socket would refuse the first datagram.
    door.writable().await?;
    Ok(door)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn bridge(codec: Codec, meter: &Meter) -> Bridge<'_> {
        Bridge {
            meter,
            codec,
            relay: None,
            door: None,
            queue: BytesMut::new(),
            frame: Vec::new(),
        }
    }

    #[test]
    fn media_beyond_the_queue_is_dropped_and_counted() {
        let metrics = Metrics::new().unwrap();
        let meter = Meter::start(metrics.streams(), Proto::IceTcp);
        let mut bridge = bridge(Codec::IceTcp, &meter);
        let datagram = [128; 1_200];
        let fit = MAX_QUEUE / (datagram.len() + 2);

        for _ in 0..fit + 50 {
            bridge.give_back(&datagram);
        }

        assert_eq!(bridge.queue.len(), fit * (datagram.len() + 2));
        assert!(bridge.queue.len() <= 128 * 1024);
        assert_eq!(meter.queue_full.get(), 50);
    }

    #[tokio::test]
    async fn a_turn_client_that_asks_and_never_reads_is_let_go() {
        let metrics = Metrics::new().unwrap();
        let meter = Meter::start(metrics.streams(), Proto::Turn);
        let client: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let connection = TurnConnection::new(client.into(), [1; 16]);
        let mut bridge = bridge(Codec::Turn(Box::new(connection)), &meter);
        bridge.queue.resize(MAX_QUEUE, 0);
        // An Allocate without credentials: its challenge has no room any more.
        let allocate = [&[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();

        let end = bridge.take_turn(&allocate).await;

        assert!(matches!(end, Err(End::Stuck)), "{end:?}");
        assert_eq!(bridge.queue.len(), MAX_QUEUE);
    }
}
