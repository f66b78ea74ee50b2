//! `--tls files`: notices when the files have changed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::{
    certificate_and_key::{CertificateAndKey, unix_now},
    resolver::{CertificateResolver, CertificateSource},
};

/// The two files' paths.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    cert: PathBuf,
    key: PathBuf,
    /// The fingerprint of what is shown.
    shown: u64,
}

/// What the two files held.
type FileContents = [Vec<u8>; 2];

/// Knows which contents were seen before. A renewal writes one file after the other: a pair that does
/// not work counts as broken only if it is still the same at the next poll.
#[derive(Debug)]
struct ChangeTracker {
    shown: u64,
    unsettled: Option<u64>,
    reported: Option<u64>,
}

/// The outcome of reading the files.
#[derive(Debug)]
enum PollOutcome {
    /// Nothing that was not known.
    Unchanged,
    /// Something that does not work, and may not be whole yet.
    Unsettled,
    /// A pair to show.
    New(CertificateAndKey),
    /// Something that does not work.
    Broken(anyhow::Error),
}

impl CertificateFiles {
    /// The files, and the pair that they hold.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not work together.
    pub(crate) fn read(cert: &Path, key: &Path) -> anyhow::Result<(Self, CertificateAndKey)> {
        let mut files = Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            shown: 0,
        };
        let contents = files.contents();
        files.shown = fingerprint(&contents);
        let pair =
            pair(contents).with_context(|| format!("{} with {}", cert.display(), key.display()))?;
        Ok((files, pair))
    }

    /// Reads the files at `poll_interval` and whenever `poll_now` is notified, without end.
    pub(crate) async fn watch(
        self,
        resolver: CertificateResolver,
        poll_interval: Duration,
        poll_now: Arc<Notify>,
    ) {
        let mut tracker = ChangeTracker::new(self.shown);
        let mut ticks = tokio::time::interval(poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                () = poll_now.notified() => true,
            };
            match tracker.poll(self.contents_off_thread().await, asked, unix_now()) {
                PollOutcome::Unchanged if asked => {
                    tracing::info!("the certificate's files have not changed")
                }
                PollOutcome::Unchanged | PollOutcome::Unsettled => {}
                PollOutcome::New(pair) => {
                    resolver.install(&pair, CertificateSource::Files);
                    tracing::info!(
                        not_after = pair.not_after,
                        "the certificate was replaced from its files"
                    );
                }
                PollOutcome::Broken(error) => {
                    resolver.record_failure(CertificateSource::Files);
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the new certificate does not work, so the old one stays"
                    );
                }
            }
        }
    }

    fn contents(&self) -> io::Result<FileContents> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
        };
        Ok([read(&self.cert)?, read(&self.key)?])
    }

    /// As [`Self::contents`], but on another thread: a file may lie on a slow disk.
    async fn contents_off_thread(&self) -> io::Result<FileContents> {
        let files = self.clone();
        tokio::task::spawn_blocking(move || files.contents())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl ChangeTracker {
    fn new(shown: u64) -> Self {
        Self {
            shown,
            unsettled: None,
            reported: None,
        }
    }

    /// Judges the contents; `asked` means that someone says the files are whole. `now` is in seconds
    /// since 1970.
    fn poll(&mut self, contents: io::Result<FileContents>, asked: bool, now: i64) -> PollOutcome {
        let found = fingerprint(&contents);
        let known = found == self.shown || (self.reported == Some(found) && !asked);
        let again = self.unsettled.take() == Some(found);
        if known {
            return PollOutcome::Unchanged;
        }
        match pair(contents).and_then(|pair| in_time(pair, now)) {
            Ok(pair) => {
                *self = Self::new(found);
                PollOutcome::New(pair)
            }
            Err(error) if asked || again => {
                self.reported = Some(found);
                PollOutcome::Broken(error)
            }
            Err(_) => {
                self.unsettled = Some(found);
                PollOutcome::Unsettled
            }
        }
    }
}

fn pair(contents: io::Result<FileContents>) -> anyhow::Result<CertificateAndKey> {
    let [chain, key] = contents.context("cannot read the certificate's files")?;
    CertificateAndKey::from_pem(&chain, &key)
}

fn in_time(pair: CertificateAndKey, now: i64) -> anyhow::Result<CertificateAndKey> {
    anyhow::ensure!(!pair.has_expired(now), "the certificate has expired");
    Ok(pair)
}

/// Not for security: whoever can write the files can have any certificate shown.
fn fingerprint(contents: &io::Result<FileContents>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match contents {
        Ok(contents) => contents.hash(&mut hasher),
        Err(error) => error.kind().hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate_and_key::tests::pem;

    fn contents(days: i64) -> FileContents {
        let (chain, key) = pem(&["relay.example"], days);
        [chain.into_bytes(), key.into_bytes()]
    }

    fn clone(contents: &FileContents) -> io::Result<FileContents> {
        Ok(contents.clone())
    }

    fn tracker(contents: &FileContents) -> ChangeTracker {
        ChangeTracker::new(fingerprint(&clone(contents)))
    }

    #[test]
    fn a_new_pair_is_shown_once() {
        let (old, new) = (contents(90), contents(90));
        let mut tracker = tracker(&old);

        assert!(matches!(
            tracker.poll(clone(&old), false, 0),
            PollOutcome::Unchanged
        ));
        assert!(matches!(
            tracker.poll(clone(&new), false, 0),
            PollOutcome::New(_)
        ));
        assert!(matches!(
            tracker.poll(clone(&new), true, 0),
            PollOutcome::Unchanged
        ));
    }

    #[test]
    fn files_that_are_written_one_after_the_other_are_waited_for() {
        let (old, new) = (contents(90), contents(90));
        let half = [new[0].clone(), old[1].clone()];
        let mut tracker = tracker(&old);

        assert!(matches!(
            tracker.poll(clone(&half), false, 0),
            PollOutcome::Unsettled
        ));
        assert!(matches!(
            tracker.poll(clone(&new), false, 0),
            PollOutcome::New(_)
        ));
    }

    #[test]
    fn what_stays_broken_is_told_once_and_again_when_asked() {
        let old = contents(90);
        let missing = || Err(io::Error::from(io::ErrorKind::NotFound));
        let mut tracker = tracker(&old);

        assert!(matches!(
            tracker.poll(missing(), false, 0),
            PollOutcome::Unsettled
        ));
        assert!(matches!(
            tracker.poll(missing(), false, 0),
            PollOutcome::Broken(_)
        ));
        assert!(matches!(
            tracker.poll(missing(), false, 0),
            PollOutcome::Unchanged
        ));
        assert!(matches!(
            tracker.poll(missing(), true, 0),
            PollOutcome::Broken(_)
        ));
        assert!(matches!(
            tracker.poll(clone(&old), false, 0),
            PollOutcome::Unchanged
        ));
        assert!(matches!(
            tracker.poll(missing(), true, 0),
            PollOutcome::Broken(_)
        ));
    }

    #[test]
    fn a_new_certificate_that_has_expired_is_broken() {
        let (old, stale) = (contents(90), contents(30));
        let mut tracker = tracker(&old);
        let now = unix_now() + 40 * 86400;

        let PollOutcome::Broken(error) = tracker.poll(clone(&stale), true, now) else {
            panic!("it was taken");
        };
        assert!(error.to_string().contains("expired"), "{error}");
    }
}
