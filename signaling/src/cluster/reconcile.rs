//! Comparing what is here with what Redis says, after a time without it.

use std::{sync::Arc, time::Duration};

use authloop_protocol::id::SessionId;
use futures_util::{StreamExt as _, stream};

use super::node::LocalNode;

/// Sessions that are moved or looked after at once.
pub(super) const MAX_CONCURRENT_SESSIONS: usize = 32;
/// How long an earlier owner's relay goes on for clients that have not moved yet.
const RELAY_LINGER_DURATION: Duration = Duration::from_secs(5);

impl LocalNode {
    /// Does [`Self::reconcile_session`] for every open session here.
    pub(super) async fn reconcile(self: &Arc<Self>) {
        let ids = self.registry().open_sessions();
        stream::iter(ids)
            .for_each_concurrent(MAX_CONCURRENT_SESSIONS, |id| self.reconcile_session(id))
            .await;
    }

    /// Gives one session up if it is another node's by now, and writes it again if Redis lost it.
    pub(super) async fn reconcile_session(self: &Arc<Self>, id: SessionId) {
        let Some(mine) = self.record(id) else {
            return;
        };
        match self.store.load(id).await {
            Ok(Some(record)) if record.owner != self.node_id || record.epoch != mine.epoch => {
                self.on_owner_lost(id);
            }
            // It restarted empty: what this node knows is true.
            Ok(None) => {
                let _ = self.store.create(&mine, self.retention).await;
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }

    /// Another node owns this session by now: forget it, and send its clients away to come back.
    pub(super) fn on_owner_lost(self: &Arc<Self>, id: SessionId) {
        let Some(relay) = self.registry().release(id) else {
            return;
        };
        let node = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RELAY_LINGER_DURATION).await;
            // It may have come back meanwhile, with new legs under the same name.
            if node.registry().epoch(id).is_none() {
                relay.close(id).await;
            }
        });
    }
}
