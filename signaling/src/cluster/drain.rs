//! A node that goes down gives its sessions to the others.

use std::sync::{Arc, atomic::Ordering};

use authloop_protocol::id::SessionId;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    heartbeat::HEARTBEAT_INTERVAL, node::LocalNode, reconcile::MAX_CONCURRENT_SESSIONS,
    store::LEASE_DURATION,
};

impl LocalNode {
    /// Gives every session to the other nodes; its clients' sockets close and come back there.
    pub(super) async fn drain(self: &Arc<Self>) {
        self.closed.store(true, Ordering::Relaxed);
        self.heartbeat().await;
        let ids = self.registry().open_sessions();
        let moved = stream::iter(ids)
            .map(|id| self.migrate(id))
            .buffer_unordered(MAX_CONCURRENT_SESSIONS)
            .filter(|moved| std::future::ready(*moved))
            .count()
            .await;
        tracing::info!(moved, "sessions were given to other nodes");
        if let Err(error) = self.store.leave(self.node_id).await {
            tracing::warn!(%error, "the lease could not be given back");
        }
        self.stop.cancel();
    }

    async fn migrate(self: &Arc<Self>, id: SessionId) -> bool {
        let began = Instant::now();
        loop {
            if self.try_migrate(id).await {
                return true;
            }
            // The others may only be slow to beat; alone there is nobody to wait for.
            let others = self.live_nodes.load(Ordering::Relaxed) > 1;
            if !others || began.elapsed() > LEASE_DURATION {
                return false;
            }
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    }

    async fn try_migrate(self: &Arc<Self>, id: SessionId) -> bool {
        let Some(new_owner) = self.pick(Some(self.node_id)) else {
            return false;
        };
        let Some(record) = self.record(id) else {
            return false;
        };
        let given = matches!(self.store.change_owner(&record, new_owner).await, Ok(true));
        if given {
            self.announce_move(id, record.epoch + 1, new_owner).await;
            // The legs stay until the process ends: the clients are on them until they have moved.
            let _ = self.registry().release(id);
        }
        given
    }
}
