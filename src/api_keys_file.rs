//! The API keys' file: read again when it changes, or on SIGHUP.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use authloop_signaling::ApiKeys;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use zeroize::Zeroizing;

use crate::{audit::ServerEvent, observer_fanout::ObserverFanout};

/// Interval at which the file is looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps a server's keys what their file says.
pub(crate) struct ApiKeysFile {
    path: PathBuf,
    keys: ApiKeys,
    observers: ObserverFanout,
    hangup: Signal,
}

/// Metadata that changes when a file is written or replaced, a mounted secret's symbolic link included.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ApiKeysFile {
    /// From here on SIGHUP no longer ends the process.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub(crate) fn new(
        path: PathBuf,
        keys: ApiKeys,
        observers: ObserverFanout,
    ) -> std::io::Result<Self> {
        Ok(Self {
            path,
            keys,
            observers,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Watches the file without end.
    pub(crate) async fn watch(mut self) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The file may have changed since the configuration was read, so the first tick always reads.
        let mut seen = None;
        loop {
            let asked = tokio::select! {
                hung_up = self.hangup.recv() => hung_up.is_some(),
                _ = ticks.tick() => false,
            };
            let stamp = Some(FileStamp::at(&self.path));
            if asked || stamp != seen {
                seen = stamp;
                self.read(asked);
            }
        }
    }

    /// Reads the file once; says so if `asked`, even if nothing is new.
    fn read(&self, asked: bool) {
        match self.replace() {
            Ok(false) if !asked => self.observers.metrics.keys_unchanged(),
            Ok(_) => {
                let keys = self.keys.count();
                tracing::info!(keys, "the API keys were read again");
                self.observers.metrics.keys_read(true);
                self.observers.record(ServerEvent::KeysReloaded { keys });
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%error, "the API keys' file cannot be used; the old keys go on");
                self.observers.metrics.keys_read(false);
                self.observers.record(ServerEvent::KeysRefused);
            }
        }
    }

    fn replace(&self) -> anyhow::Result<bool> {
        let text = Zeroizing::new(std::fs::read_to_string(&self.path)?);
        Ok(self.keys.replace(&text)?)
    }
}

impl FileStamp {
    fn at(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
