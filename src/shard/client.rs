//! What async code may ask of a shard, and how the answer comes back.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use authloop_relay::{
    Leg, LegCredentials, Legs, LocalPwd, LocalUfrag, RelayError, RelaySessionId, RemoteCredentials,
};
use tokio::sync::{mpsc, oneshot};

use super::{error::ShardError, socket::Waker, stats::RelayStats};

/// Where an answer goes; a caller that left does not mind.
pub(super) type ReplySender<T> = oneshot::Sender<T>;

/// What one endpoint needs to reach its leg: ice-chars and addresses, ready for SDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegIceParameters {
    /// The leg's username fragment.
    pub ufrag: String,
    /// The leg's password.
    pub pwd: String,
    /// The relay's candidate addresses, best first.
    pub candidates: Vec<SocketAddr>,
}

/// What a stream needs to carry a leg's datagrams to its shard.
#[derive(Debug)]
pub(crate) struct LegEndpoint {
    /// Password that the client must prove to know.
    pub(crate) pwd: LocalPwd,
    /// The leg's shard.
    pub(crate) shard: ShardClient,
}

#[derive(Debug)]
pub(super) enum ShardCommand {
    Open {
        session: RelaySessionId,
        reply: ReplySender<Result<Legs<LegCredentials>, ShardError>>,
    },
    Restart {
        session: RelaySessionId,
        leg: Leg,
        reply: ReplySender<Result<LegCredentials, ShardError>>,
    },
    SetRemote {
        session: RelaySessionId,
        leg: Leg,
        remote: RemoteCredentials,
        reply: ReplySender<Result<(), RelayError>>,
    },
    Close {
        session: RelaySessionId,
        reply: ReplySender<Result<(), RelayError>>,
    },
    FindLeg {
        ufrag: LocalUfrag,
        reply: ReplySender<Option<LocalPwd>>,
    },
    NameAddress {
        addr: SocketAddr,
        destination: IpAddr,
        name: SocketAddr,
        reply: ReplySender<()>,
    },
    ForgetAddress {
        addr: SocketAddr,
        destination: IpAddr,
        reply: ReplySender<()>,
    },
    Stats {
        reply: ReplySender<RelayStats>,
    },
}

/// One shard as its callers see it; it does not keep the shard alive.
#[derive(Debug, Clone)]
pub(crate) struct ShardClient {
    pub(super) commands: mpsc::Sender<ShardCommand>,
    pub(super) waker: Arc<Waker>,
    /// The relay's candidate addresses for the shard's legs.
    pub(crate) candidates: Vec<SocketAddr>,
    /// The shard's UDP address as this machine reaches it.
    pub(crate) local: SocketAddr,
}

impl ShardClient {
    pub(super) async fn request<T>(
        &self,
        command: impl FnOnce(ReplySender<T>) -> ShardCommand,
    ) -> Result<T, ShardError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| ShardError::Stopped)?;
        self.waker.wake();
        answer.await.map_err(|_| ShardError::Stopped)
    }

    /// Has those who check from an address of this machine's own told that it is `name`.
    ///
    /// # Errors
    /// When the relay has stopped.
    pub(crate) async fn name_address(
        &self,
        addr: SocketAddr,
        name: SocketAddr,
    ) -> Result<(), ShardError> {
        let destination = self.local.ip();
        self.request(|reply| ShardCommand::NameAddress {
            addr,
            destination,
            name,
            reply,
        })
        .await
    }

    /// Ends every path over an address of this machine's own, after all that was sent from it to
    /// [`Self::local`].
    ///
    /// # Errors
    /// When the relay has stopped.
    pub(crate) async fn forget_address(&self, addr: SocketAddr) -> Result<(), ShardError> {
        let destination = self.local.ip();
        self.request(|reply| ShardCommand::ForgetAddress {
            addr,
            destination,
            reply,
        })
        .await
    }

    pub(super) fn leg_ice(&self, credentials: &LegCredentials) -> LegIceParameters {
        LegIceParameters {
            ufrag: credentials.ufrag.as_str().to_owned(),
            pwd: credentials.pwd.as_str().to_owned(),
            candidates: self.candidates.clone(),
        }
    }
}
