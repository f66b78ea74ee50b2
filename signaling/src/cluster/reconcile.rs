//! Comparing what is here with what Redis says, after a time without it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_protocol::id::SessionId;
use futures_util::{StreamExt as _, stream};

use super::{node::LocalNode, record::Record, wire::NodeMessage};

/// Sessions that are moved or looked after at once.
pub(super) const MAX_CONCURRENT_SESSIONS: usize = 32;
/// How long an earlier owner's relay goes on for clients that have not moved yet.
const RELAY_LINGER_DURATION: Duration = Duration::from_secs(5);

impl LocalNode {
    /// Does [`Self::reconcile_session`] for every open session here; those for which Redis does not
    /// answer are left for a later beat.
    pub(super) async fn reconcile(self: &Arc<Self>) {
        self.unreconciled.store(false, Ordering::Relaxed);
        let ids = self.registry().open_sessions();
        let all_answered = stream::iter(ids)
            .map(|id| self.reconcile_session(id))
            .buffer_unordered(MAX_CONCURRENT_SESSIONS)
            .fold(true, |all, answered| std::future::ready(all && answered))
            .await;
        if !all_answered {
            self.unreconciled.store(true, Ordering::Relaxed);
        }
    }

    /// Gives one session up if it is another node's by now, and writes it again if Redis lost it;
    /// `false` if Redis does not answer.
    pub(super) async fn reconcile_session(self: &Arc<Self>, id: SessionId) -> bool {
        let Some(mine) = self.record(id) else {
            return true;
        };
        let theirs = match self.store.load(id).await {
            Ok(theirs) => theirs,
            Err(_) => return false,
        };
        let is_mine = |record: &Record| {
            record.owner == self.node_id
                && record.epoch == mine.epoch
                && record.outcome.is_none()
                && (record.device.is_some() || mine.device.is_none())
        };
        if theirs.as_ref().is_some_and(is_mine) {
            return true;
        }
        // It restarted empty, or with what was true before: what this node knows is later.
        match self.store.restore(&mine, self.retention).await {
            Ok(true) => {
                if theirs.is_some() {
                    let (session, epoch) = (id, mine.epoch);
                    self.publish(None, &NodeMessage::Moved { session, epoch })
                        .await;
                }
            }
            Ok(false) => self.on_owner_lost(id),
            Err(_) => return false,
        }
        true
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
