//! The subscription to what other nodes say, and what is done with it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authloop_protocol::id::SessionId;
use futures_util::StreamExt as _;
use tokio::time::{interval, timeout};

use super::{node::LocalNode, wire::NodeMessage};

/// How often the subscription is tried, because a silent connection may be a dead one.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Past this a ping has failed.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before a broken subscription is made again.
const RESUBSCRIBE_INTERVAL: Duration = Duration::from_millis(100);

impl LocalNode {
    /// Subscribes, again and again, until the node stops.
    pub(super) async fn run_subscription(self: Arc<Self>) {
        let mut replaced = self.store.replacements();
        while !self.stop.is_cancelled() {
            replaced.mark_unchanged();
            if let Ok(subscription) = self.store.subscribe(self.node_id).await {
                self.subscribed.store(true, Ordering::Relaxed);
                // What was said meanwhile was not heard; the first time that is next to nothing.
                self.reconcile().await;
                let (mut sink, mut heard) = subscription.split();
                let mut pings = interval(PING_INTERVAL);
                loop {
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        // The server that others publish at may be another.
                        _ = replaced.changed() => break,
                        publication = heard.next() => match publication {
                            Some(publication) => self.handle_publication(publication.get_payload_bytes()),
                            None => break,
                        },
                        _ = pings.tick() => {
                            let ping = timeout(PING_TIMEOUT, sink.ping::<redis::Value>());
                            if !matches!(ping.await, Ok(Ok(_))) {
                                break;
                            }
                        }
                    }
                }
                self.subscribed.store(false, Ordering::Relaxed);
                self.bridges.close_all();
            }
            tokio::time::sleep(RESUBSCRIBE_INTERVAL).await;
        }
    }

    /// Never waits: whatever takes time becomes a task.
    fn handle_publication(self: &Arc<Self>, payload: &[u8]) {
        let Ok(message) = serde_json::from_slice::<NodeMessage>(payload) else {
            tracing::debug!("another version's publication");
            return;
        };
        match message {
            NodeMessage::Open {
                bridge,
                session,
                epoch,
                identity,
            } => {
                self.open_owner_bridge(bridge, session, epoch, &identity);
            }
            NodeMessage::ClientText { bridge, n, text } => {
                self.bridges.accept_client_text(bridge, n, text)
            }
            NodeMessage::Gone { bridge } => self.bridges.remove_owner(bridge),
            NodeMessage::Opened { bridge } => self.edge_opened(bridge, Ok(())),
            NodeMessage::Refused { bridge, code } => self.edge_opened(bridge, Err(code)),
            NodeMessage::ServerText { bridge, n, text } => self.edge_receives(bridge, n, text),
            NodeMessage::Close { bridge, closing } => self.edge_closes(bridge, closing),
            NodeMessage::Adopt { session } => {
                let node = self.clone();
                tokio::spawn(async move { node.adopt_from_redis(session).await });
            }
            NodeMessage::Ended { session, outcome } => self.registry().end(session, outcome),
            NodeMessage::Moved { session, epoch } => {
                self.bridges.close_edges_of(session, epoch);
                let mine = self.registry().epoch(session);
                if mine.is_some_and(|mine| mine < epoch) {
                    self.on_owner_lost(session);
                }
            }
        }
    }

    /// A session that is not adopted now is when a client comes; only its expiry waits for that.
    async fn adopt_from_redis(&self, session: SessionId) {
        if let Ok(Some(record)) = self.store.load(session).await
            && record.owner == self.node_id
            && record.outcome.is_none()
        {
            self.adopt(&record);
        }
    }
}
