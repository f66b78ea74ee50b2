//! An endpoint's ICE agent, just clever enough to talk to the relay.

use authloop_relay::{
    LegCredentials, PathAddr, RemoteCredentials,
    stun::{self, BindingMessage, BindingRequest, StunClass, TransactionId},
};

/// The controlling agent on one side of a session.
#[derive(Debug)]
pub struct IceAgent {
    /// Where it sends from; a test changes it to move.
    pub addr: PathAddr,
    /// The credentials of its leg at the relay.
    pub relay: LegCredentials,
    /// Its own username fragment.
    pub ufrag: String,
    /// Its own password.
    pub pwd: String,
    transactions: u64,
}

impl IceAgent {
    /// Creates an agent whose own credentials are made from `name`.
    #[must_use]
    pub fn new(addr: PathAddr, relay: LegCredentials, name: &str) -> Self {
        Self {
            addr,
            relay,
            ufrag: format!("u{name}"),
            pwd: format!("{name:0>22}"),
            transactions: 0,
        }
    }

    /// Its own credentials, as the relay is told them.
    #[must_use]
    pub fn remote(&self) -> RemoteCredentials {
        RemoteCredentials::parse(&self.ufrag, &self.pwd).unwrap()
    }

    /// Writes a new check, as it goes on the wire.
    pub fn check(&mut self, nominate: bool) -> Vec<u8> {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.transactions.to_be_bytes());
        id[8..].copy_from_slice(&self.pwd.as_bytes()[18..]);
        let mut out = Vec::new();
        BindingRequest {
            transaction_id: TransactionId(id),
            to_ufrag: self.relay.ufrag.as_str().as_bytes(),
            from_ufrag: self.ufrag.as_bytes(),
            pwd: self.relay.pwd.as_str().as_bytes(),
            priority: 1,
            controlling: Some(7),
            use_candidate: nominate,
        }
        .write(&mut out);
        out
    }

    /// Answers a check of the relay's; `None` for anything that this agent would not answer.
    #[must_use]
    pub fn answer(&self, datagram: &[u8], relay: PathAddr) -> Option<Vec<u8>> {
        let message = BindingMessage::parse(datagram).ok()?;
        let mine =
            message.class() == StunClass::Request && message.integrity_holds(self.pwd.as_bytes());
        let mut out = Vec::new();
        let id = message.transaction_id();
        mine.then(|| stun::write_binding_success(&mut out, id, relay, self.pwd.as_bytes(), true))?;
        Some(out)
    }
}
