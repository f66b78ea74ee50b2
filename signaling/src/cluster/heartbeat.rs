//! The lease that a node renews, and what it learns of the others with each beat.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{node::LocalNode, nodes::Load, store::LEASE_DURATION};

/// How often a node renews its lease and looks who listens; six may be lost.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(300);

impl LocalNode {
    /// Beats until the node stops.
    pub(super) async fn run_heartbeats(self: Arc<Self>) {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.heartbeat().await {
                // Others may have thought this node dead, or Redis may have forgotten everything.
                let lapsed = last.elapsed() > LEASE_DURATION;
                if lapsed || self.unreconciled.load(Ordering::Relaxed) {
                    self.reconcile().await;
                }
                last = Instant::now();
            }
        }
    }

    /// Renews the lease once and takes in who else is there; `false` when Redis does not answer.
    pub(super) async fn heartbeat(&self) -> bool {
        let registry = self.registry();
        let load = if self.closed.load(Ordering::Relaxed) || registry.is_full() {
            Load::Closed
        } else {
            Load::Sessions(u32::try_from(registry.live()).unwrap_or(u32::MAX))
        };
        let beat = self.store.heartbeat(self.node_id, load).await;
        let was_connected = self.connected.swap(beat.is_ok(), Ordering::Relaxed);
        let beat = match beat {
            Ok(beat) => beat,
            Err(error) => {
                if was_connected {
                    tracing::warn!(
                        %error,
                        "Redis takes no beat; sessions go on, but none can begin or move"
                    );
                }
                self.store.replace_connection_after(&error).await;
                return false;
            }
        };
        if !was_connected {
            tracing::info!("Redis takes beats again");
        }
        *self.last_beat.lock() = Instant::now();
        self.live_nodes.store(beat.loads.len(), Ordering::Relaxed);
        let now = self.uptime();
        let mut gone = {
            let mut nodes = self.nodes.lock();
            for unsubscribed in &beat.unsubscribed {
                nodes.mark_suspect(*unsubscribed, now);
            }
            nodes.update(beat.loads, now)
        };
        gone.extend(beat.unsubscribed);
        self.bridges.close_all_of(&gone);
        true
    }
}
