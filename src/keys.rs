//! The API keys' file: read again when it changes or on SIGHUP; and `authloop keys new`.

use std::{
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use authloop_signaling::{ApiKeys, NewKey};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use zeroize::Zeroizing;

use crate::{audit::ServerEvent, cli::NewKeyArgs, witness::Witness};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps a server's keys what their file says.
pub(crate) struct KeysFile {
    path: PathBuf,
    keys: ApiKeys,
    witness: Witness,
    hangup: Signal,
}

/// What changes when a file is written or replaced, a mounted secret's symbolic link included.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl KeysFile {
    /// From here on SIGHUP no longer ends the process.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub(crate) fn new(path: PathBuf, keys: ApiKeys, witness: Witness) -> std::io::Result<Self> {
        Ok(Self {
            path,
            keys,
            witness,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Watches the file for ever.
    pub(crate) async fn watch(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // It may have changed since the configuration was read, so the first look always reads.
        let mut seen = None;
        loop {
            let asked = tokio::select! {
                hung_up = self.hangup.recv() => hung_up.is_some(),
                _ = looks.tick() => false,
            };
            let look = Some(Look::at(&self.path));
            if asked || look != seen {
                seen = look;
                self.read(asked);
            }
        }
    }

    /// Reads it once; who `asked` is answered even if it says nothing new.
    fn read(&self, asked: bool) {
        match self.replace() {
            Ok(false) if !asked => self.witness.metrics.keys_unchanged(),
            Ok(_) => {
                let keys = self.keys.count();
                tracing::info!(keys, "the API keys were read again");
                self.witness.metrics.keys_read(true);
                self.witness.server(ServerEvent::KeysReloaded { keys });
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%error, "the API keys' file cannot be used; the old keys go on");
                self.witness.metrics.keys_read(false);
                self.witness.server(ServerEvent::KeysRefused);
            }
        }
    }

    fn replace(&self) -> anyhow::Result<bool> {
        let text = Zeroizing::new(std::fs::read_to_string(&self.path)?);
        Ok(self.keys.replace(&text)?)
    }
}

impl Look {
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

/// `authloop keys new`: the key, and on the next line what the keys file needs of it.
///
/// # Errors
/// When an option is none, or standard output is closed.
pub fn print_new(args: &NewKeyArgs) -> anyhow::Result<()> {
    let new = NewKey {
        name: args.name.clone(),
        scopes: args.scope.clone(),
        expires: args.expires.clone(),
        rate: args.rate,
    };
    let (key, line) = new.make().map_err(anyhow::Error::msg)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}\n{line}", key.as_str()).context("cannot write to standard output")
}
