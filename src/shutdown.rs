//! The end of the process: a signal asks for it, and everything gets a bounded time.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use crate::shard::RelayHandle;

/// How long open requests and WebSockets may take to end.
pub const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// SIGTERM and SIGINT, caught from the moment that this exists: before anyone is told that the server
/// is there, or an early signal kills the process without a shutdown.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves at the first of either since then.
    pub async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Notifies `notify` at every SIGHUP.
///
/// # Errors
/// When the system does not let signals be caught.
pub fn notify_on_hangup(notify: Arc<Notify>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            notify.notify_one();
        }
    });
    Ok(())
}

/// Waits until the relay forwards nothing any more, or for [`GRACE_PERIOD`].
pub async fn wait_until_idle(relay: &RelayHandle) {
    /// Longer than any pause that video and consent checks leave.
    const IDLE_INTERVAL: Duration = Duration::from_millis(750);
    let watch = async {
        let mut before = None;
        while let Ok(stats) = relay.stats().await {
            let now = stats.counters.forwarded_packets;
            if before == Some(now) {
                return;
            }
            before = Some(now);
            tokio::time::sleep(IDLE_INTERVAL).await;
        }
    };
    let _ = tokio::time::timeout(GRACE_PERIOD, watch).await;
}
