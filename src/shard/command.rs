//! What async code may ask of a shard, and how the answer comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use authloop_relay::{
    Leg, LegCredentials, Legs, LocalPwd, LocalUfrag, RelayError, RelaySessionId, RemoteCredentials,
};
use tokio::sync::{mpsc, oneshot};

use super::socket::Waker;
use super::{RelayStats, ShardError};

/// Where an answer goes; a caller that left does not mind.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// What one endpoint needs to reach its leg: ice-chars and addresses, ready for SDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegIce {
    /// The leg's username fragment.
    pub ufrag: String,
    /// The leg's password.
    pub pwd: String,
    /// The relay's candidate addresses, best first.
    pub candidates: Vec<SocketAddr>,
}

/// What a stream needs to carry a leg's datagrams to its shard.
#[derive(Debug)]
pub(crate) struct LegDoor {
    /// With which the client proves itself.
    pub(crate) pwd: LocalPwd,
    /// The shard's UDP address as this machine reaches it.
    pub(crate) local: SocketAddr,
    /// The relay's candidate addresses for the leg.
    pub(crate) candidates: Vec<SocketAddr>,
}

#[derive(Debug)]
pub(super) enum Command {
    Open {
        session: RelaySessionId,
        reply: Reply<Result<Legs<LegCredentials>, ShardError>>,
    },
    Restart {
        session: RelaySessionId,
        leg: Leg,
        reply: Reply<Result<LegCredentials, ShardError>>,
    },
    SetRemote {
        session: RelaySessionId,
        leg: Leg,
        remote: RemoteCredentials,
        reply: Reply<Result<(), RelayError>>,
    },
    Close {
        session: RelaySessionId,
        reply: Reply<Result<(), RelayError>>,
    },
    FindLeg {
        ufrag: LocalUfrag,
        reply: Reply<Option<LocalPwd>>,
    },
    Stats {
        reply: Reply<RelayStats>,
    },
}

/// One shard as its callers see it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) waker: Arc<Waker>,
    pub(super) candidates: Vec<SocketAddr>,
    /// The shard's own address, loopback where it listens on all.
    pub(super) local: SocketAddr,
}

impl Link {
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, ShardError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| ShardError::Stopped)?;
        self.waker.wake();
        answer.await.map_err(|_| ShardError::Stopped)
    }

    pub(super) fn ice(&self, credentials: &LegCredentials) -> LegIce {
        LegIce {
            ufrag: credentials.ufrag.as_str().to_owned(),
            pwd: credentials.pwd.as_str().to_owned(),
            candidates: self.candidates.clone(),
        }
    }
}
