//! A TURN client made for tests from the RFCs, sharing no code with the server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use authloop_relay::PathAddr;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ID: [u8; 12] = *b"one exchange";

/// Methods (RFC 8656 §18).
pub mod method {
    /// Allocate.
    pub const ALLOCATE: u16 = 3;
    /// Refresh.
    pub const REFRESH: u16 = 4;
    /// Send, an indication.
    pub const SEND: u16 = 6;
    /// CreatePermission.
    pub const CREATE_PERMISSION: u16 = 8;
    /// ChannelBind.
    pub const CHANNEL_BIND: u16 = 9;
}

/// Attribute types (RFC 8489 §18.3, RFC 8656 §18).
pub mod attr {
    /// ERROR-CODE.
    pub const ERROR_CODE: u16 = 0x0009;
    /// LIFETIME.
    pub const LIFETIME: u16 = 0x000d;
    /// XOR-PEER-ADDRESS.
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    /// DATA.
    pub const DATA: u16 = 0x0013;
    /// XOR-RELAYED-ADDRESS.
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    /// REQUESTED-TRANSPORT.
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    /// XOR-MAPPED-ADDRESS.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
}

/// An attribute's type and value.
pub type Attribute = (u16, Vec<u8>);

/// A client's credentials, and what the last challenge said.
#[derive(Debug, Clone)]
pub struct TurnClient {
    /// The user name.
    pub ufrag: String,
    /// The password.
    pub pwd: String,
    /// REALM of the last challenge.
    pub realm: Vec<u8>,
    /// NONCE of the last challenge; empty before one.
    pub nonce: Vec<u8>,
}

/// A message of the server's.
#[derive(Debug)]
pub struct TurnReply {
    /// ERROR-CODE, or 0.
    pub code: u16,
    /// Whether MESSAGE-INTEGRITY came and was right.
    pub vouched_for: bool,
    attributes: Vec<Attribute>,
}

impl TurnClient {
    /// Creates a client that has seen no challenge.
    #[must_use]
    pub fn new(ufrag: &str, pwd: &str) -> Self {
        let (ufrag, pwd) = (ufrag.to_owned(), pwd.to_owned());
        Self {
            ufrag,
            pwd,
            realm: Vec::new(),
            nonce: Vec::new(),
        }
    }

    /// Writes a request; it carries credentials once there was a challenge.
    #[must_use]
    pub fn request(&self, method: u16, attributes: &[Attribute]) -> Vec<u8> {
        let mut all = attributes.to_vec();
        if self.nonce.is_empty() {
            return message(method, &all);
        }
        all.push((0x0006, self.ufrag.clone().into_bytes()));
        all.push((0x0014, self.realm.clone()));
        all.push((0x0015, self.nonce.clone()));
        let bare = message(method, &all);
        all.push((0x0008, self.mac(&bare)));
        message(method, &all)
    }

    /// Reads a whole message and remembers its challenge.
    pub fn read(&mut self, bytes: &[u8]) -> TurnReply {
        let length = u16::from_be_bytes([bytes[2], bytes[3]]);
        assert_eq!(bytes.len(), 20 + usize::from(length), "one message, whole");
        let mut reply = TurnReply {
            code: 0,
            vouched_for: false,
            attributes: Vec::new(),
        };
        let mut at = 20;
        while at < bytes.len() {
            let kind = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            let value = bytes[at + 4..at + 4 + length].to_vec();
            match kind {
                0x0008 => reply.vouched_for = self.mac(&bytes[..at]) == value,
                attr::ERROR_CODE => reply.code = u16::from(value[2]) * 100 + u16::from(value[3]),
                0x0014 => self.realm.clone_from(&value),
                0x0015 => self.nonce.clone_from(&value),
                _ => {}
            }
            reply.attributes.push((kind, value));
            at += 4 + length.next_multiple_of(4);
        }
        reply
    }

    fn mac(&self, bare: &[u8]) -> Vec<u8> {
        let realm = String::from_utf8_lossy(&self.realm);
        let key = Md5::digest(format!("{}:{realm}:{}", self.ufrag, self.pwd));
        let mut mac = Hmac::<Sha1>::new_from_slice(&key).unwrap();
        mac.update(&bare[..2]);
        mac.update(&(bare.len() as u16 - 20 + 24).to_be_bytes());
        mac.update(&bare[4..]);
        mac.finalize().into_bytes().to_vec()
    }
}

impl TurnReply {
    /// Returns the first attribute of a type.
    #[must_use]
    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(of, _)| *of == kind);
        found.map(|(_, value)| &value[..])
    }

    /// Returns the address in an XOR-ed address attribute.
    #[must_use]
    pub fn address(&self, kind: u16) -> Option<PathAddr> {
        let plain: Vec<u8> = cover(&self.get(kind)?[2..]);
        let port = u16::from_be_bytes([plain[0], plain[1]]);
        let addr = match plain.len() {
            6 => SocketAddr::from((<[u8; 4]>::try_from(&plain[2..]).unwrap(), port)),
            _ => SocketAddr::from((<[u8; 16]>::try_from(&plain[2..]).unwrap(), port)),
        };
        Some(addr.into())
    }
}

/// Writes a message of this type, with its class bits.
#[must_use]
pub fn message(kind: u16, attributes: &[Attribute]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = (body.len() as u16).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, &COOKIE, &ID, &body].concat()
}

/// Writes an indication.
#[must_use]
pub fn indication(method: u16, attributes: &[Attribute]) -> Vec<u8> {
    message(method | 0x10, attributes)
}

/// REQUESTED-TRANSPORT: UDP.
#[must_use]
pub fn udp() -> Attribute {
    (attr::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])
}

/// XOR-PEER-ADDRESS.
#[must_use]
pub fn peer(addr: PathAddr) -> Attribute {
    let addr = addr.to_socket_addr();
    let ip = match addr.ip() {
        std::net::IpAddr::V4(ip) => Ipv4Addr::octets(&ip).to_vec(),
        std::net::IpAddr::V6(ip) => Ipv6Addr::octets(&ip).to_vec(),
    };
    let family = if addr.is_ipv4() { 1 } else { 2 };
    let covered = cover(&[&addr.port().to_be_bytes()[..], &ip].concat());
    (
        attr::XOR_PEER_ADDRESS,
        [&[0, family][..], &covered].concat(),
    )
}

/// CHANNEL-NUMBER.
#[must_use]
pub fn channel(number: u16) -> Attribute {
    (0x000c, [&number.to_be_bytes()[..], &[0, 0]].concat())
}

/// LIFETIME.
#[must_use]
pub fn lifetime(seconds: u32) -> Attribute {
    (attr::LIFETIME, seconds.to_be_bytes().to_vec())
}

/// REQUESTED-ADDRESS-FAMILY.
#[must_use]
pub fn family(family: u8) -> Attribute {
    (0x0017, vec![family, 0, 0, 0])
}

/// DATA.
#[must_use]
pub fn data(bytes: &[u8]) -> Attribute {
    (attr::DATA, bytes.to_vec())
}

/// RFC 8489 §14.2: the port under the cookie's first half, the address under cookie and id.
fn cover(bytes: &[u8]) -> Vec<u8> {
    let masks = COOKIE[..2].iter().chain(&COOKIE).chain(&ID);
    bytes
        .iter()
        .zip(masks)
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}
