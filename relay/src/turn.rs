//! A *virtual* TURN server (RFC 8656) for one stream: it has no relay sockets.
//!
//! The credentials are a leg's: ufrag as user name, pwd as password. An allocation reaches exactly
//! one peer, and only if that is one of the leg's own relay candidates. So this is no open relay,
//! and what it carries still has to pass the leg's own checks.
//!
//! There is no socket, clock or randomness: [`split`] takes frames off the stream,
//! [`TurnConnection::handle_frame`] says what to do with each, [`TurnConnection::wrap`] is the way
//! back.

mod auth;
mod error_code;
mod frame;
mod message;
mod method;
mod reply;

use std::time::{Duration, Instant};

use crate::{LocalUfrag, MAX_DATAGRAM_BYTES, PathAddr, stun::StunClass};
use auth::{AuthenticationFailure, LegUser, authenticate};
use error_code::ErrorCode;
use message::TurnMessage;
use reply::SuccessResponse;

pub use auth::{REALM, TurnGrant};
pub use frame::{TurnFrame, TurnStreamError, split};

/// RFC 8656 §3.2: an allocation's default and longest life, in seconds.
const DEFAULT_LIFETIME_SECS: u32 = 600;
const MAX_LIFETIME_SECS: u32 = 3_600;
/// How long a permission lasts (RFC 8656 §9).
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// How long a channel stays bound (RFC 8656 §12).
const CHANNEL_BINDING_LIFETIME: Duration = Duration::from_secs(600);
/// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.9).
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
/// Ports of relayed addresses (RFC 8656 §7.2).
const MIN_RELAYED_PORT: u16 = 49_152;
/// REQUESTED-TRANSPORT: UDP's protocol number.
const PROTOCOL_UDP: u8 = 17;
/// Unauthenticated requests in a row before the stream is closed.
const MAX_FAILED_REQUESTS: u8 = 8;

/// What to do with a frame; a reply to the client, if any, is in the output already.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum TurnVerdict<'a> {
    /// Nothing more.
    Done,
    /// Pass this datagram to the relay.
    ToRelay(&'a [u8]),
    /// Look the leg up and [`TurnConnection::grant`] access, then hand the same frame in again; or close
    /// the stream.
    NeedLeg(LocalUfrag),
    /// Close the stream.
    Close,
}

/// One client's stream.
#[derive(Debug)]
pub struct TurnConnection {
    client: PathAddr,
    nonce: [u8; 32],
    relayed_port: u16,
    user: Option<LegUser>,
    allocation: Option<Allocation>,
    failed_requests: u8,
    indications: u64,
}

#[derive(Debug)]
struct Allocation {
    ends: Instant,
    relayed: PathAddr,
    peer: Option<Peer>,
}

/// The one peer: the relay's candidate that the client asked for first.
#[derive(Debug)]
struct Peer {
    addr: PathAddr,
    permitted_until: Instant,
    channel: Option<(u16, Instant)>,
}

impl TurnConnection {
    /// A stream from `client`; `nonce` must be unpredictable.
    #[must_use]
    pub fn new(client: PathAddr, nonce: [u8; 16]) -> Self {
        let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit & 0xf)];
        Self {
            client,
            nonce: std::array::from_fn(|at| hex(nonce[at / 2] >> (4 * (at & 1)))),
            relayed_port: MIN_RELAYED_PORT | u16::from_be_bytes([nonce[0], nonce[1]]),
            user: None,
            allocation: None,
            failed_requests: 0,
            indications: 0,
        }
    }

    /// Lets a leg's owner in; the first grant counts for the stream's life.
    pub fn grant(&mut self, grant: TurnGrant) {
        self.user.get_or_insert_with(|| LegUser::new(grant));
    }

    /// The relayed address of a client that has proved itself and holds an allocation.
    ///
    /// It is a name only, and so that no client finds it odd, one of the leg's candidates' addresses.
    #[must_use]
    pub fn relayed(&self) -> Option<PathAddr> {
        self.allocation
            .as_ref()
            .map(|allocation| allocation.relayed)
    }

    /// Takes one frame in and appends what the client is answered to `out`.
    pub fn handle_frame<'a>(
        &mut self,
        now: Instant,
        frame: TurnFrame<'a>,
        out: &mut Vec<u8>,
    ) -> TurnVerdict<'a> {
        self.expire(now);
        let bytes = match frame {
            TurnFrame::Channel { number, data } => return self.channel_data(now, number, data),
            TurnFrame::Stun(bytes) => bytes,
        };
        let Ok(message) = TurnMessage::parse(bytes) else {
            return TurnVerdict::Close;
        };
        match (message.class, message.method) {
            (StunClass::Request, _) => self.request(now, &message, out),
            (StunClass::Indication, method::SEND) => self.send(now, &message),
            (StunClass::Indication | StunClass::Success | StunClass::Error, _) => TurnVerdict::Done,
        }
    }

    /// Appends a datagram of the relay's for the client to `out`; `false` if it may not have it.
    pub fn wrap(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<u8>) -> bool {
        self.expire(now);
        let Some(peer) = self.peer().filter(|peer| peer.permitted_until > now) else {
            return false;
        };
        if datagram.len() > MAX_DATAGRAM_BYTES {
            return false;
        }
        match peer.channel {
            Some((number, until)) if until > now => frame::write_channel(out, number, datagram),
            _ => {
                let addr = peer.addr;
                self.indications += 1;
                reply::data(out, self.indications, addr, datagram);
            }
        }
        true
    }

    fn expire(&mut self, now: Instant) {
        if self
            .allocation
            .as_ref()
            .is_some_and(|allocation| allocation.ends <= now)
        {
            self.allocation = None;
        }
    }

    fn peer(&self) -> Option<&Peer> {
        self.allocation.as_ref()?.peer.as_ref()
    }

    /// RFC 8656 §12.7: data on a channel that is not bound is dropped.
    fn channel_data<'a>(&self, now: Instant, number: u16, data: &'a [u8]) -> TurnVerdict<'a> {
        let bound = self.peer().and_then(|peer| peer.channel);
        if bound.is_some_and(|(bound, until)| bound == number && until > now) {
            TurnVerdict::ToRelay(data)
        } else {
            TurnVerdict::Done
        }
    }

    /// RFC 8656 §11.2: a Send without permission is dropped in silence.
    fn send<'a>(&self, now: Instant, message: &TurnMessage<'a>) -> TurnVerdict<'a> {
        let peer = self
            .peer()
            .filter(|peer| peer.permitted_until > now && message.peers[..] == [peer.addr]);
        match (peer, message.data) {
            (Some(_), Some(data)) if message.unknown.is_empty() => TurnVerdict::ToRelay(data),
            _ => TurnVerdict::Done,
        }
    }

    fn request(
        &mut self,
        now: Instant,
        message: &TurnMessage<'_>,
        out: &mut Vec<u8>,
    ) -> TurnVerdict<'static> {
        let key = match authenticate(self.user.as_ref(), &self.nonce, message) {
            Ok(key) => key,
            Err(AuthenticationFailure::Refused(refusal)) => {
                self.failed_requests += 1;
                reply::challenge(out, message, refusal, &self.nonce);
                return if self.failed_requests >= MAX_FAILED_REQUESTS {
                    TurnVerdict::Close
                } else {
                    TurnVerdict::Done
                };
            }
            Err(AuthenticationFailure::UnknownUfrag(ufrag)) => return TurnVerdict::NeedLeg(ufrag),
            Err(AuthenticationFailure::InvalidUfrag) => return TurnVerdict::Close,
        };
        self.failed_requests = 0;
        let answer = match message.method {
            _ if !message.unknown.is_empty() => Err(ErrorCode::UNKNOWN_ATTRIBUTE),
            method::ALLOCATE => self.allocate(now, message),
            method::REFRESH => self.refresh(now, message),
            method::CREATE_PERMISSION => self.permit(now, message),
            method::CHANNEL_BIND => self.bind(now, message),
            _ => Err(ErrorCode::BAD_REQUEST),
        };
        match answer {
            Ok(answer) => reply::success(out, message, &answer, &key),
            Err(refusal) => reply::error(out, message, refusal, &key),
        }
        TurnVerdict::Done
    }

    /// RFC 8656 §7.2.
    fn allocate(
        &mut self,
        now: Instant,
        message: &TurnMessage<'_>,
    ) -> Result<SuccessResponse, ErrorCode> {
        if self.allocation.is_some() {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let user = self.user.as_ref().ok_or(ErrorCode::UNAUTHENTICATED)?;
        match message.transport {
            Some(PROTOCOL_UDP) => {}
            Some(_) => return Err(ErrorCode::UNSUPPORTED_TRANSPORT),
            None => return Err(ErrorCode::BAD_REQUEST),
        }
        let of_family = |family| {
            let mut candidates = user.candidates.iter();
            candidates.find(|candidate| candidate.is_v4() == (family == FAMILY_IPV4))
        };
        let namesake = match message.family {
            // RFC 8656 §7.2 has IPv4 where nothing is asked for; without any, IPv6 is better than nothing.
            None => of_family(FAMILY_IPV4).or_else(|| of_family(FAMILY_IPV6)),
            Some(asked @ (FAMILY_IPV4 | FAMILY_IPV6)) => of_family(asked),
            Some(_) => None,
        };
        let namesake = namesake.ok_or(ErrorCode::UNSUPPORTED_FAMILY)?;
        let relayed = PathAddr::from_octets(namesake.octets(), self.relayed_port);
        let lifetime = lifetime(message);
        self.allocation = Some(Allocation {
            ends: now + Duration::from_secs(lifetime.into()),
            relayed,
            peer: None,
        });
        Ok(SuccessResponse::Allocated {
            relayed,
            mapped: self.client,
            lifetime,
        })
    }

    /// RFC 8656 §8.2.
    fn refresh(
        &mut self,
        now: Instant,
        message: &TurnMessage<'_>,
    ) -> Result<SuccessResponse, ErrorCode> {
        if message.lifetime == Some(0) {
            self.allocation = None;
            return Ok(SuccessResponse::Refreshed { lifetime: 0 });
        }
        let allocation = self.allocation.as_mut();
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let lifetime = lifetime(message);
        allocation.ends = now + Duration::from_secs(lifetime.into());
        Ok(SuccessResponse::Refreshed { lifetime })
    }

    /// RFC 8656 §10.2: by IP address, whatever the port.
    fn permit(
        &mut self,
        now: Instant,
        message: &TurnMessage<'_>,
    ) -> Result<SuccessResponse, ErrorCode> {
        if message.peers.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        for asked in &message.peers {
            self.peer_for(now, |candidate| candidate.octets() == asked.octets())?;
        }
        Ok(SuccessResponse::Plain)
    }

    /// RFC 8656 §12.2.
    fn bind(
        &mut self,
        now: Instant,
        message: &TurnMessage<'_>,
    ) -> Result<SuccessResponse, ErrorCode> {
        let (Some(number), &[asked]) = (message.channel, &message.peers[..]) else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        if !frame::CHANNEL_NUMBERS.contains(&number) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let peer = self.peer_for(now, |candidate| *candidate == asked)?;
        match peer.channel {
            Some((bound, until)) if until > now && bound != number => Err(ErrorCode::BAD_REQUEST),
            _ => {
                peer.channel = Some((number, now + CHANNEL_BINDING_LIFETIME));
                Ok(SuccessResponse::Plain)
            }
        }
    }

    /// The peer, permitted anew, if it is the candidate that is asked for.
    fn peer_for(
        &mut self,
        now: Instant,
        is_asked: impl Fn(&PathAddr) -> bool,
    ) -> Result<&mut Peer, ErrorCode> {
        let allocation = self.allocation.as_mut();
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let candidates = self.user.iter().flat_map(|user| &user.candidates);
        let addr = match &allocation.peer {
            Some(peer) => Some(peer.addr).filter(&is_asked),
            None => candidates.copied().find(&is_asked),
        };
        let addr = addr.ok_or(ErrorCode::FORBIDDEN)?;
        let peer = allocation.peer.get_or_insert(Peer {
            addr,
            permitted_until: now,
            channel: None,
        });
        peer.permitted_until = now + PERMISSION_LIFETIME;
        Ok(peer)
    }
}

/// RFC 8656 §7.2: never below the default, never above the maximum.
fn lifetime(message: &TurnMessage<'_>) -> u32 {
    let asked = message.lifetime.unwrap_or(DEFAULT_LIFETIME_SECS);
    asked.clamp(DEFAULT_LIFETIME_SECS, MAX_LIFETIME_SECS)
}
