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
    certificates::{Certificates, Source},
    pair::{Pair, unix_now},
};

/// The two files' paths.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// The fingerprint of what is shown.
    shown: u64,
}

/// What the two files held.
type Contents = [Vec<u8>; 2];

/// Which contents were seen before. Whoever renews writes one file after the other: a pair that does
/// not work counts as broken only when it is still the same at the next look.
#[derive(Debug)]
struct Seen {
    shown: u64,
    doubted: Option<u64>,
    told: Option<u64>,
}

/// What a look at the files gave.
#[derive(Debug)]
enum Look {
    /// Nothing that was not known.
    Known,
    /// Something that does not work, and may not be whole yet.
    Doubtful,
    /// A pair to show.
    New(Pair),
    /// Something that does not work.
    Broken(anyhow::Error),
}

impl Files {
    /// The files, and the pair that they hold.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not work together.
    pub(crate) fn read(cert: &Path, key: &Path) -> anyhow::Result<(Self, Pair)> {
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

    /// Looks every so often and whenever `at_once` tells, for ever.
    pub(crate) async fn follow(
        self,
        certificates: Certificates,
        every: Duration,
        at_once: Arc<Notify>,
    ) {
        let mut seen = Seen::new(self.shown);
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                () = at_once.notified() => true,
            };
            match seen.look(self.contents_elsewhere().await, asked, unix_now()) {
                Look::Known if asked => tracing::info!("the certificate's files have not changed"),
                Look::Known | Look::Doubtful => {}
                Look::New(pair) => {
                    certificates.show(&pair, Source::Files);
                    tracing::info!(
                        not_after = pair.not_after,
                        "the certificate was replaced from its files"
                    );
                }
                Look::Broken(error) => {
                    certificates.keep(Source::Files);
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the new certificate does not work, so the old one stays"
                    );
                }
            }
        }
    }

    fn contents(&self) -> io::Result<Contents> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
        };
        Ok([read(&self.cert)?, read(&self.key)?])
    }

    /// As [`Self::contents`]; a file may lie on a slow disk.
    async fn contents_elsewhere(&self) -> io::Result<Contents> {
        let files = self.clone();
        tokio::task::spawn_blocking(move || files.contents())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Seen {
    fn new(shown: u64) -> Self {
        Self {
            shown,
            doubted: None,
            told: None,
        }
    }

    /// `asked`: someone says that the files are whole. `now` in seconds since 1970.
    fn look(&mut self, contents: io::Result<Contents>, asked: bool, now: i64) -> Look {
        let found = fingerprint(&contents);
        let known = found == self.shown || (self.told == Some(found) && !asked);
        let again = self.doubted.take() == Some(found);
        if known {
            return Look::Known;
        }
        match pair(contents).and_then(|pair| in_time(pair, now)) {
            Ok(pair) => {
                *self = Self::new(found);
                Look::New(pair)
            }
            Err(error) if asked || again => {
                self.told = Some(found);
                Look::Broken(error)
            }
            Err(_) => {
                self.doubted = Some(found);
                Look::Doubtful
            }
        }
    }
}

fn pair(contents: io::Result<Contents>) -> anyhow::Result<Pair> {
    let [chain, key] = contents.context("cannot read the certificate's files")?;
    Pair::from_pem(&chain, &key)
}

fn in_time(pair: Pair, now: i64) -> anyhow::Result<Pair> {
    anyhow::ensure!(!pair.has_expired(now), "the certificate has expired");
    Ok(pair)
}

/// Not for security: whoever can write the files can have any certificate shown.
fn fingerprint(contents: &io::Result<Contents>) -> u64 {
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
    use crate::tls::pair::tests::pem;

    fn contents(days: i64) -> Contents {
        let (chain, key) = pem(&["relay.example"], days);
        [chain.into_bytes(), key.into_bytes()]
    }

    fn clone(contents: &Contents) -> io::Result<Contents> {
        Ok(contents.clone())
    }

    fn seen(contents: &Contents) -> Seen {
        Seen::new(fingerprint(&clone(contents)))
    }

    #[test]
    fn a_new_pair_is_shown_once() {
        let (old, new) = (contents(90), contents(90));
        let mut seen = seen(&old);

        assert!(matches!(seen.look(clone(&old), false, 0), Look::Known));
        assert!(matches!(seen.look(clone(&new), false, 0), Look::New(_)));
        assert!(matches!(seen.look(clone(&new), true, 0), Look::Known));
    }

    #[test]
    fn files_that_are_written_one_after_the_other_are_waited_for() {
        let (old, new) = (contents(90), contents(90));
        let half = [new[0].clone(), old[1].clone()];
        let mut seen = seen(&old);

        assert!(matches!(seen.look(clone(&half), false, 0), Look::Doubtful));
        assert!(matches!(seen.look(clone(&new), false, 0), Look::New(_)));
    }

    #[test]
    fn what_stays_broken_is_told_once_and_again_when_asked() {
        let old = contents(90);
        let missing = || Err(io::Error::from(io::ErrorKind::NotFound));
        let mut seen = seen(&old);

        assert!(matches!(seen.look(missing(), false, 0), Look::Doubtful));
        assert!(matches!(seen.look(missing(), false, 0), Look::Broken(_)));
        assert!(matches!(seen.look(missing(), false, 0), Look::Known));
        assert!(matches!(seen.look(missing(), true, 0), Look::Broken(_)));
        assert!(matches!(seen.look(clone(&old), false, 0), Look::Known));
        assert!(matches!(seen.look(missing(), true, 0), Look::Broken(_)));
    }

    #[test]
    fn a_new_certificate_that_has_expired_is_broken() {
        let (old, stale) = (contents(90), contents(30));
        let mut seen = seen(&old);
        let now = unix_now() + 40 * 86400;

        let Look::Broken(error) = seen.look(clone(&stale), true, now) else {
            panic!("it was taken");
        };
        assert!(error.to_string().contains("expired"), "{error}");
    }
}
