//! A *virtual* TURN server (RFC 8656) for one stream: it has no relay sockets.
//!
//! The credentials are a leg's: ufrag as user name, pwd as password. An allocation reaches exactly
//! one peer, and only if that is one of the leg's own relay candidates. So this is no open relay,
//! and what it carries still has to pass the leg's own checks.
//!
//! There is no socket, clock or randomness: [`split`] takes frames off the stream,
//! [`Connection::handle_frame`] says what becomes of each, [`Connection::wrap`] is the way back.

mod frame;
mod message;
mod reply;

use std::time::{Duration, Instant};

use md5::{Digest, Md5};

pub use frame::{Frame, NotTurn, split};

use crate::stun::Class;
use crate::{LocalPwd, LocalUfrag, MAX_DATAGRAM, PathAddr};
use message::Message;
use reply::{Answer, Refusal};

/// What clients put into MESSAGE-INTEGRITY's key; it names nothing.
pub const REALM: &str = "authloop";

/// RFC 8656 §18: methods.
mod method {
    pub(super) const ALLOCATE: u16 = 0x003;
    pub(super) const REFRESH: u16 = 0x004;
    pub(super) const SEND: u16 = 0x006;
    pub(super) const DATA: u16 = 0x007;
    pub(super) const CREATE_PERMISSION: u16 = 0x008;
    pub(super) const CHANNEL_BIND: u16 = 0x009;
}

/// RFC 8656 §3.2: an allocation's default and longest life, in seconds.
const LIFETIME: u32 = 600;
const MAX_LIFETIME: u32 = 3_600;
/// RFC 8656 §9.
const PERMISSION: Duration = Duration::from_secs(300);
/// RFC 8656 §12.
const BINDING: Duration = Duration::from_secs(600);
/// REQUESTED-TRANSPORT: UDP's protocol number.
const UDP: u8 = 17;
/// Unauthenticated requests in a row before the stream is given up.
const MAX_REFUSALS: u8 = 8;

/// What becomes of a frame; a reply, if any, is in the output by then.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'a> {
    /// It is dealt with.
    Done,
    /// This datagram goes to the relay.
    ToRelay(&'a [u8]),
    /// Who is this? [`Connection::grant`] access, then hand the same frame in again; or close.
    NeedLeg(LocalUfrag),
    /// The stream has to be closed.
    Close,
}

/// What a leg's owner may do.
#[derive(Debug)]
pub struct Grant {
    /// The leg's ufrag.
    pub ufrag: LocalUfrag,
    /// The leg's password; only a key made from it is kept.
    pub pwd: LocalPwd,
    /// The leg's relay candidates: all that may ever be a peer.
    pub candidates: Vec<PathAddr>,
    /// What to call the client's relayed address.
    pub relayed: PathAddr,
}

/// One client's stream.
#[derive(Debug)]
pub struct Connection {
    client: PathAddr,
    nonce: [u8; 32],
    user: Option<User>,
    allocation: Option<Allocation>,
    refusals: u8,
    indications: u64,
}

#[derive(Debug)]
struct User {
    ufrag: LocalUfrag,
    key: [u8; 16],
    candidates: Vec<PathAddr>,
    relayed: PathAddr,
}

#[derive(Debug)]
struct Allocation {
    ends: Instant,
    peer: Option<Peer>,
}

/// The one peer: the relay's candidate that the client asked for first.
#[derive(Debug)]
struct Peer {
    addr: PathAddr,
    permitted_until: Instant,
    channel: Option<(u16, Instant)>,
}

impl Connection {
    /// A stream from `client`; `nonce` must be unpredictable.
    #[must_use]
    pub fn new(client: PathAddr, nonce: [u8; 16]) -> Self {
        let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit & 0xf)];
        Self {
            client,
            nonce: std::array::from_fn(|at| hex(nonce[at / 2] >> (4 * (at & 1)))),
            user: None,
            allocation: None,
            refusals: 0,
            indications: 0,
        }
    }

    /// Lets a leg's owner in; the first grant counts for the stream's life.
    pub fn grant(&mut self, grant: Grant) {
        let mut key = Md5::new();
        // RFC 8489 §9.2.2: the long-term key.
        key.update(grant.ufrag.as_bytes());
        key.update(b":");
        key.update(REALM.as_bytes());
        key.update(b":");
        key.update(grant.pwd.as_bytes());
        self.user.get_or_insert(User {
            ufrag: grant.ufrag,
            key: key.finalize().into(),
            candidates: grant.candidates,
            relayed: grant.relayed,
        });
    }

    /// Whether the client has proved itself and holds an allocation.
    #[must_use]
    pub fn is_allocated(&self) -> bool {
        self.allocation.is_some()
    }

    /// Takes one frame in and appends what the client is answered to `out`.
    pub fn handle_frame<'a>(
        &mut self,
        now: Instant,
        frame: Frame<'a>,
        out: &mut Vec<u8>,
    ) -> Verdict<'a> {
        self.expire(now);
        let bytes = match frame {
            Frame::Channel { number, data } => return self.channel_data(now, number, data),
            Frame::Stun(bytes) => bytes,
        };
        let Ok(message) = Message::parse(bytes) else {
            return Verdict::Close;
        };
        match (message.class, message.method) {
            (Class::Request, _) => self.request(now, &message, out),
            (Class::Indication, method::SEND) => self.send(now, &message),
            (Class::Indication | Class::Success | Class::Error, _) => Verdict::Done,
        }
    }

    /// Appends a datagram of the relay's for the client to `out`; `false` if it may not have it.
    pub fn wrap(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<u8>) -> bool {
        self.expire(now);
        let Some(peer) = self.peer().filter(|peer| peer.permitted_until > now) else {
            return false;
        };
        if datagram.len() > MAX_DATAGRAM {
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
            .is_some_and(|held| held.ends <= now)
        {
            self.allocation = None;
        }
    }

    fn peer(&self) -> Option<&Peer> {
        self.allocation.as_ref()?.peer.as_ref()
    }

    /// RFC 8656 §12.7: data on a channel that is not bound is dropped.
    fn channel_data<'a>(&self, now: Instant, number: u16, data: &'a [u8]) -> Verdict<'a> {
        let bound = self.peer().and_then(|peer| peer.channel);
        match bound.is_some_and(|(bound, until)| bound == number && until > now) {
            true => Verdict::ToRelay(data),
            false => Verdict::Done,
        }
    }

    /// RFC 8656 §11.2: a Send without permission is dropped in silence.
    fn send<'a>(&self, now: Instant, message: &Message<'a>) -> Verdict<'a> {
        let peer = self
            .peer()
            .filter(|peer| peer.permitted_until > now && message.peers[..] == [peer.addr]);
        match (peer, message.data) {
            (Some(_), Some(data)) if message.unknown.is_empty() => Verdict::ToRelay(data),
            _ => Verdict::Done,
        }
    }

    fn request(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Verdict<'static> {
        let key = match self.authenticate(message) {
            Ok(key) => key,
            Err(Unproven::Refused(refusal)) => {
                self.refusals += 1;
                reply::challenge(out, message, refusal, &self.nonce);
                return match self.refusals >= MAX_REFUSALS {
                    true => Verdict::Close,
                    false => Verdict::Done,
                };
            }
            Err(Unproven::Unknown(ufrag)) => return Verdict::NeedLeg(ufrag),
            Err(Unproven::Nobody) => return Verdict::Close,
        };
        self.refusals = 0;
        let answer = match message.method {
            _ if !message.unknown.is_empty() => Err(Refusal::UNKNOWN_ATTRIBUTE),
            method::ALLOCATE => self.allocate(now, message),
            method::REFRESH => self.refresh(now, message),
            method::CREATE_PERMISSION => self.permit(now, message),
            method::CHANNEL_BIND => self.bind(now, message),
            _ => Err(Refusal::BAD_REQUEST),
        };
        match answer {
            Ok(answer) => reply::success(out, message, &answer, &key),
            Err(refusal) => reply::error(out, message, refusal, &key),
        }
        Verdict::Done
    }

    /// RFC 8489 §9.2.4, in its order.
    fn authenticate(&self, message: &Message<'_>) -> Result<[u8; 16], Unproven> {
        if !message.has_integrity() {
            return Err(Unproven::Refused(Refusal::UNAUTHENTICATED));
        }
        let (Some(username), Some(realm), Some(nonce)) =
            (message.username, message.realm, message.nonce)
        else {
            return Err(Unproven::Refused(Refusal::BAD_REQUEST));
        };
        if nonce != self.nonce {
            return Err(Unproven::Refused(Refusal::STALE_NONCE));
        }
        let ufrag = LocalUfrag::from_bytes(username).ok_or(Unproven::Nobody)?;
        let user = self.user.as_ref().ok_or(Unproven::Unknown(ufrag))?;
        if user.ufrag != ufrag || realm != REALM.as_bytes() {
            return Err(Unproven::Refused(Refusal::WRONG_CREDENTIALS));
        }
        match message.integrity_holds(&user.key) {
            true => Ok(user.key),
            false => Err(Unproven::Refused(Refusal::UNAUTHENTICATED)),
        }
    }

    /// RFC 8656 §7.2.
    fn allocate(&mut self, now: Instant, message: &Message<'_>) -> Result<Answer, Refusal> {
        if self.allocation.is_some() {
            return Err(Refusal::ALLOCATION_MISMATCH);
        }
        let user = self.user.as_ref().ok_or(Refusal::UNAUTHENTICATED)?;
        match message.transport {
            Some(UDP) => {}
            Some(_) => return Err(Refusal::UNSUPPORTED_TRANSPORT),
            None => return Err(Refusal::BAD_REQUEST),
        }
        let family = if user.relayed.is_v4() { 1 } else { 2 };
        if message.family.is_some_and(|asked| asked != family) {
            return Err(Refusal::UNSUPPORTED_FAMILY);
        }
        let lifetime = lifetime(message);
        self.allocation = Some(Allocation {
            ends: now + Duration::from_secs(lifetime.into()),
            peer: None,
        });
        Ok(Answer::Allocated {
            relayed: user.relayed,
            mapped: self.client,
            lifetime,
        })
    }

    /// RFC 8656 §8.2.
    fn refresh(&mut self, now: Instant, message: &Message<'_>) -> Result<Answer, Refusal> {
        if message.lifetime == Some(0) {
            self.allocation = None;
            return Ok(Answer::Refreshed { lifetime: 0 });
        }
        let held = self.allocation.as_mut();
        let held = held.ok_or(Refusal::ALLOCATION_MISMATCH)?;
        let lifetime = lifetime(message);
        held.ends = now + Duration::from_secs(lifetime.into());
        Ok(Answer::Refreshed { lifetime })
    }

    /// RFC 8656 §10.2: by IP address, whatever the port.
    fn permit(&mut self, now: Instant, message: &Message<'_>) -> Result<Answer, Refusal> {
        if message.peers.is_empty() {
            return Err(Refusal::BAD_REQUEST);
        }
        for asked in &message.peers {
            self.peer_for(now, |candidate| candidate.octets() == asked.octets())?;
        }
        Ok(Answer::Plain)
    }

    /// RFC 8656 §12.2.
    fn bind(&mut self, now: Instant, message: &Message<'_>) -> Result<Answer, Refusal> {
        let (Some(number), &[asked]) = (message.channel, &message.peers[..]) else {
            return Err(Refusal::BAD_REQUEST);
        };
        if !frame::CHANNELS.contains(&number) {
            return Err(Refusal::BAD_REQUEST);
        }
        let peer = self.peer_for(now, |candidate| *candidate == asked)?;
        match peer.channel {
            Some((bound, until)) if until > now && bound != number => Err(Refusal::BAD_REQUEST),
            _ => {
                peer.channel = Some((number, now + BINDING));
                Ok(Answer::Plain)
            }
        }
    }

    /// The peer, permitted anew, if it is the candidate that is asked for.
    fn peer_for(
        &mut self,
        now: Instant,
        is_asked: impl Fn(&PathAddr) -> bool,
    ) -> Result<&mut Peer, Refusal> {
        let held = self.allocation.as_mut();
        let held = held.ok_or(Refusal::ALLOCATION_MISMATCH)?;
        let candidates = self.user.iter().flat_map(|user| &user.candidates);
        let addr = match &held.peer {
            Some(peer) => Some(peer.addr).filter(&is_asked),
            None => candidates.copied().find(&is_asked),
        };
        let addr = addr.ok_or(Refusal::FORBIDDEN)?;
        let peer = held.peer.get_or_insert(Peer {
            addr,
            permitted_until: now,
            channel: None,
        });
        peer.permitted_until = now + PERMISSION;
        Ok(peer)
    }
}

/// Why a request is not its sender's yet.
enum Unproven {
    Refused(Refusal),
    Unknown(LocalUfrag),
    Nobody,
}

/// RFC 8656 §7.2: never below the default, never above the maximum.
fn lifetime(message: &Message<'_>) -> u32 {
    let asked = message.lifetime.unwrap_or(LIFETIME);
    asked.clamp(LIFETIME, MAX_LIFETIME)
}
