//! Rooms that wait, so that a claim waits for none.

use std::{path::PathBuf, sync::Arc, time::Duration};

use authloop_cdp::{BrowserError, Launch};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use url::Url;

use crate::{
    profile::{RoomProfile, folder_in_memory, sweep},
    room::Room,
};

/// How long a claim waits for a room that another handoff gives back.
const TAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How rooms are started, and how many.
#[derive(Clone, Debug)]
pub struct RoomSettings {
    /// The Chromium; looked for in the usual places if not given.
    pub binary: Option<PathBuf>,
    /// Whether Chromium confines its pages; never for root, as whom it would not start.
    pub sandbox: bool,
    /// Rooms that wait.
    pub warm: usize,
    /// Rooms at once, with those that wait.
    pub max: usize,
    /// The proxy by which rooms reach sites (`--proxy-server`); none if not given.
    pub proxy: Option<Url>,
    /// Where profiles are; in memory if not given.
    pub profiles: Option<PathBuf>,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            binary: None,
            sandbox: true,
            warm: 1,
            max: 16,
            proxy: None,
            profiles: None,
        }
    }
}

/// Who runs the rooms' browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A user of the operating system's that runs nothing else.
    OwnUser,
    /// The host's own user: what else runs as that user could read a room's memory.
    SameUser,
}

/// Why there is no room.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RoomError {
    /// A browser for it cannot be started.
    #[error("there is no browser for a private room: {0}")]
    Launch(#[from] BrowserError),
    /// No profile can be made.
    #[error("there is no place for a private room's profile: {0}")]
    Profile(String),
    /// The operator lets users sign in in agents' browsers only.
    #[error("this host has no private rooms")]
    Refused,
    /// All are taken.
    #[error("all {0} private rooms are taken; try again later, or raise --rooms-max")]
    Exhausted(usize),
}

/// Rooms of one host; clones share them.
#[derive(Clone, Debug)]
pub struct RoomPool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: RoomSettings,
    profiles: PathBuf,
    waiting: Mutex<Vec<Held>>,
    places: Arc<Semaphore>,
}

/// A room with its place in the pool.
#[derive(Debug)]
struct Held {
    room: Room,
    place: OwnedSemaphorePermit,
}

/// A room that one handoff has; closing or dropping it gives its place back.
#[derive(Debug)]
pub struct TakenRoom {
    held: Held,
    pool: RoomPool,
}

impl RoomPool {
    /// Removes what a host that was killed left behind, and begins to keep rooms warm. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`RoomError::Launch`] if there is no Chromium.
    pub fn start(settings: RoomSettings) -> Result<Self, RoomError> {
        let profiles = settings.profiles.clone().unwrap_or_else(folder_in_memory);
        let swept = sweep(&profiles);
        if swept > 0 {
            tracing::warn!(swept, "profiles of rooms from an earlier run were removed");
        }
        let places = Arc::new(Semaphore::new(settings.max));
        let pool = Self(Arc::new(Shared {
            settings,
            profiles,
            waiting: Mutex::default(),
            places,
        }));
        pool.launch().check()?;
        pool.warm_up();
        Ok(pool)
    }

    /// Who runs the rooms.
    pub fn isolation(&self) -> Isolation {
        Isolation::SameUser
    }

    /// Takes a room: one that waits, or a new one.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn take(&self) -> Result<TakenRoom, RoomError> {
        // One that has ended while it waited is no room.
        let waiting =
            std::iter::from_fn(|| self.0.waiting.lock().pop()).find(|held| held.room.is_alive());
        let held = match waiting {
            Some(held) => held,
            None => {
                let place = timeout(TAKE_TIMEOUT, self.0.places.clone().acquire_owned()).await;
                let Ok(Ok(place)) = place else {
                    return Err(RoomError::Exhausted(self.0.settings.max));
                };
                self.open(place).await?
            }
        };
        self.warm_up();
        Ok(TakenRoom {
            held,
            pool: self.clone(),
        })
    }

    /// Starts as many as shall wait, in tasks of their own.
    fn warm_up(&self) {
        let missing = self
            .0
            .settings
            .warm
            .saturating_sub(self.0.waiting.lock().len());
        for _ in 0..missing {
            let Ok(place) = self.0.places.clone().try_acquire_owned() else {
                return;
            };
            let weak = Arc::downgrade(&self.0);
            let pool = self.clone();
            tokio::spawn(async move {
                let opened = pool.open(place).await;
                drop(pool);
                match (opened, weak.upgrade()) {
                    (Ok(held), Some(shared)) => {
                        let mut waiting = shared.waiting.lock();
                        if waiting.len() < shared.settings.warm {
                            waiting.push(held);
                        }
                    }
                    (Ok(_), None) => {}
                    (Err(error), _) => tracing::error!(%error, "no room is kept warm"),
                }
            });
        }
    }

    async fn open(&self, place: OwnedSemaphorePermit) -> Result<Held, RoomError> {
        let no_place = |error: std::io::Error| RoomError::Profile(error.to_string());
        let profile = RoomProfile::create(&self.0.profiles).map_err(no_place)?;
        let room = Room::open(self.launch(), profile).await?;
        Ok(Held { room, place })
    }

    fn launch(&self) -> Launch {
        let settings = &self.0.settings;
        let mut launch = Launch::builder().sandbox(settings.sandbox);
        if let Some(binary) = &settings.binary {
            launch = launch.binary(binary);
        }
        if let Some(proxy) = &settings.proxy {
            // A URL's path, which every URL of http has, makes Chromium refuse all of it.
            let proxy = proxy.as_str().trim_end_matches('/');
            launch = launch.arg(format!("--proxy-server={proxy}"));
        }
        launch
    }
}

impl TakenRoom {
    /// The room.
    pub fn room(&mut self) -> &mut Room {
        &mut self.held.room
    }

    /// Ends the room; returns once its process and profile are gone.
    pub async fn close(self) {
        let Held { room, place } = self.held;
        room.close().await;
        drop(place);
        self.pool.warm_up();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The room that waits, once one does.
    async fn warm_room(pool: &RoomPool) -> Held {
        loop {
            if let Some(held) = pool.0.waiting.lock().pop() {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_room_that_died_while_it_waited_is_not_handed_out() {
        let profiles = tempfile::tempdir().unwrap();
        let pool = RoomPool::start(RoomSettings {
            sandbox: false,
            profiles: Some(profiles.path().to_owned()),
            ..RoomSettings::default()
        })
        .unwrap();
        let held = warm_room(&pool).await;
        let dead = held.room.target().clone();
        let _ends_before_it_answers = held.room.browser().call("Browser.crash", json!({})).await;
        held.room.browser().ended().await;
        pool.0.waiting.lock().push(held);

        let mut taken = pool.take().await.unwrap();

        assert_ne!(taken.room().target(), &dead);
        let version = taken.room().browser().call("Browser.getVersion", json!({}));
        assert!(version.await.is_ok());
        taken.close().await;
    }
}
