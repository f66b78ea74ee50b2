//! A node that goes down gives its sessions to the others.

use std::sync::{Arc, atomic::Ordering};

use authloop_protocol::id::SessionId;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{heartbeat::BEAT, node::LocalNode, reconcile::AT_ONCE, store::LEASE};

impl LocalNode {
    /// Gives every session to the other nodes; its clients' sockets close and come back there.
    pub(super) async fn hand_over(self: &Arc<Self>) {
        self.closed.store(true, Ordering::Relaxed);
        self.beat().await;
        let ids = self.registry().open_sessions();
        let moved = stream::iter(ids)
            .map(|id| self.give_away(id))
            .buffer_unordered(AT_ONCE)
            .filter(|moved| std::future::ready(*moved))
            .count()
            .await;
        tracing::info!(moved, "sessions were given to other nodes");
        if let Err(error) = self.store.leave(self.node_id).await {
            tracing::warn!(%error, "the lease could not be given back");
        }
        self.stop.cancel();
    }

    async fn give_away(self: &Arc<Self>, id: SessionId) -> bool {
        let began = Instant::now();
        loop {
            if self.try_to_give(id).await {
                return true;
            }
            // The others may only be slow to beat; alone there is nobody to wait for.
            let others = self.live.load(Ordering::Relaxed) > 1;
            if !others || began.elapsed() > LEASE {
                return false;
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn try_to_give(self: &Arc<Self>, id: SessionId) -> bool {
        let Some(heir) = self.pick(Some(self.node_id)) else {
            return false;
        };
        let Some(record) = self.record(id) else {
            return false;
        };
        let given = matches!(self.store.give(&record, heir).await, Ok(true));
        if given {
            self.announce_move(id, record.epoch + 1, heir).await;
            // The legs stay until the process ends: the clients are on them until they have moved.
            let _ = self.registry().release(id);
        }
        given
    }
}
