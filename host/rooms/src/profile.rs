//! Where a room's browser keeps its profile: in memory, for this user alone, and gone afterwards.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rand::distr::{Alphanumeric, SampleString as _};

/// What the folders' names begin with.
const PREFIX: &str = "authloop-room-";
/// The file within whose lock says that its host lives.
const LOCK_FILE: &str = "host.lock";
/// How long a folder without its file may be one that is being made.
const MAX_UNLOCKED_AGE: Duration = Duration::from_secs(60);
/// How often the removal is tried while a dying browser still writes.
const MAX_REMOVALS: usize = 40;

/// A folder for one room; dropping it removes it.
#[derive(Debug)]
pub(crate) struct RoomProfile {
    path: PathBuf,
    /// Held while the host lives; the system lets go of it whatever ends the host.
    _lock: File,
}

impl RoomProfile {
    /// Makes a folder with mode 0700.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        let name = Alphanumeric.sample_string(&mut rand::rng(), 16);
        let path = parent.join(format!("{PREFIX}{name}"));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create_new(path.join(LOCK_FILE))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RoomProfile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A folder in memory: the session's own (`$XDG_RUNTIME_DIR`), or else everyone's (`/dev/shm`).
pub(crate) fn folder_in_memory() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.into_iter()
        .chain([PathBuf::from("/dev/shm")])
        .find(|path| path.is_dir())
        .unwrap_or_else(std::env::temp_dir)
}

/// Removes what rooms of a host that was killed have left in `parent`; returns how many there were.
pub(crate) fn sweep(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else {
        return 0;
    };
    let ours = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| is_own(&found));
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .filter(|path| ours(path) && is_abandoned(path))
        .filter(|path| remove(path))
        .count()
}

/// Whether it is a folder of this user's; others' are not ours to touch, and a link leads anywhere.
fn is_own(found: &fs::Metadata) -> bool {
    let me = fs::metadata("/proc/self").map(|process| process.uid());
    found.is_dir() && me.is_ok_and(|uid| uid == found.uid())
}

fn is_abandoned(path: &Path) -> bool {
    match File::open(path.join(LOCK_FILE)) {
        Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        // Another host may be about to make the file.
        Err(_) => age(path).is_some_and(|age| age > MAX_UNLOCKED_AGE),
    }
}

fn age(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

fn remove(path: &Path) -> bool {
    for _ in 0..MAX_REMOVALS {
        match fs::remove_dir_all(path) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
    tracing::error!(path = %path.display(), "a room's profile could not be removed");
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_for_its_user_alone_and_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let profile = RoomProfile::create(parent.path()).unwrap();
        let path = profile.path().to_owned();

        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(profile);
        assert!(!path.exists());
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let held = RoomProfile::create(parent.path()).unwrap();
        let left = parent.path().join("authloop-room-left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK_FILE), "").unwrap();
        let being_made = parent.path().join("authloop-room-being-made");
        fs::create_dir(&being_made).unwrap();
        let other = parent.path().join("authloop-profile-other");
        fs::create_dir(&other).unwrap();
        let link = parent.path().join("authloop-room-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();

        assert_eq!(sweep(parent.path()), 1);
        assert!(!left.exists());
        for kept in [held.path(), &being_made, &other, &link] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }
}
