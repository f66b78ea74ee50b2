//! A leg's owner before its TURN server, with a clock of the test's own.

use std::time::Instant;

use authloop_relay::{
    LegCredentials, PathAddr,
    turn::{TurnConnection, TurnFrame, TurnGrant, TurnVerdict},
};
use authloop_relay_testkit::{
    TurnClient, TurnReply,
    turn_client::{self as client, method},
};

pub(crate) const CLIENT: PathAddr = PathAddr::from_v4([198, 51, 100, 7], 50_000);
/// An address of the leg's candidates, and a port made of the nonce.
pub(crate) const RELAYED: PathAddr = PathAddr::from_v4([192, 0, 2, 1], 0xe5a5);
pub(crate) const CANDIDATE: PathAddr = PathAddr::from_v4([192, 0, 2, 1], 3478);
pub(crate) const OTHER_CANDIDATE: PathAddr = PathAddr::from_v4([192, 0, 2, 2], 3478);
pub(crate) const VICTIM: PathAddr = PathAddr::from_v4([203, 0, 113, 9], 53);

pub(crate) struct Bench {
    pub(crate) candidates: Vec<PathAddr>,
    pub(crate) connection: TurnConnection,
    pub(crate) client: TurnClient,
    pub(crate) credentials: LegCredentials,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let credentials = LegCredentials::from_entropy(&[9; LegCredentials::ENTROPY_BYTES]);
        Self {
            candidates: vec![CANDIDATE, OTHER_CANDIDATE],
            connection: TurnConnection::new(CLIENT, [0xa5; 16]),
            client: TurnClient::new(credentials.ufrag.as_str(), credentials.pwd.as_str()),
            credentials,
            now: some_time(),
        }
    }

    pub(crate) fn allocated() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.ask(method::ALLOCATE, &[client::udp()]).code, 401);
        assert_eq!(bench.ask(method::ALLOCATE, &[client::udp()]).code, 0);
        bench
    }

    pub(crate) fn bound() -> Self {
        let mut bench = Self::allocated();
        let asked = [client::channel(0x4001), client::peer(CANDIDATE)];
        assert_eq!(bench.ask(method::CHANNEL_BIND, &asked).code, 0);
        bench
    }

    /// Sends a request as the leg's owner does, lets the server look the leg up, reads the reply.
    pub(crate) fn ask(&mut self, method: u16, attributes: &[(u16, Vec<u8>)]) -> TurnReply {
        let request = self.client.request(method, attributes);
        let mut out = Vec::new();
        let mut verdict = self.feed(&request, &mut out);
        if let Err(Needed) = verdict {
            self.connection.grant(TurnGrant {
                ufrag: self.credentials.ufrag,
                pwd: self.credentials.pwd.clone(),
                candidates: self.candidates.clone(),
            });
            verdict = self.feed(&request, &mut out);
        }
        assert!(verdict.is_ok());
        self.client.read(&out)
    }

    fn feed(&mut self, request: &[u8], out: &mut Vec<u8>) -> Result<(), Needed> {
        match self
            .connection
            .handle_frame(self.now, TurnFrame::Stun(request), out)
        {
            TurnVerdict::Done => Ok(()),
            TurnVerdict::NeedLeg(ufrag) => {
                assert_eq!(ufrag, self.credentials.ufrag);
                Err(Needed)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn wrap(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let wrapped = self.connection.wrap(self.now, datagram, &mut out);
        wrapped.then_some(out)
    }
}

pub(crate) struct Needed;

#[expect(clippy::disallowed_methods, reason = "only a test may begin anywhere")]
pub(crate) fn some_time() -> Instant {
    Instant::now()
}
