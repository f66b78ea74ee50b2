//! What was found, and the search for it in bytes and files.

use std::path::Path;

use memchr::memmem::Finder;
use serde::Serialize;

use crate::encodings::Needle;

/// Where a needle was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The needle's name, `secret/encoding`.
    pub needle: String,
    /// The place, for people.
    pub place: String,
    /// Bytes from the start of the place.
    pub offset: u64,
}

/// What a scan covered, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Every needle found, at most once in each place.
    pub hits: Vec<Hit>,
    /// Bytes searched.
    pub bytes: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.bytes += other.bytes;
    }
}

/// Looks for a set of needles, as often as it is asked to.
pub struct SecretScanner {
    finders: Vec<(String, Finder<'static>)>,
    longest_needle: usize,
}

impl std::fmt::Debug for SecretScanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretScanner").finish_non_exhaustive()
    }
}

impl SecretScanner {
    /// Prepares the search for `needles`.
    #[must_use]
    pub fn new(needles: &[Needle]) -> Self {
        let finders = needles.iter().map(|needle| {
            let finder = Finder::new(&needle.bytes).into_owned();
            (needle.name.clone(), finder)
        });
        Self {
            finders: finders.collect(),
            longest_needle: needles.iter().map(|n| n.bytes.len()).max().unwrap_or(0),
        }
    }

    /// Bytes that two neighbouring pieces must share so that nothing hides across their border.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.longest_needle.saturating_sub(1)
    }

    /// Returns the needles in `haystack`, each with its first offset.
    #[must_use]
    pub fn scan_bytes(&self, haystack: &[u8], place: &str) -> Findings {
        let hits = self.finders.iter().filter_map(|(name, finder)| {
            let offset = finder.find(haystack)?;
            Some(Hit {
                needle: name.clone(),
                place: place.to_owned(),
                offset: offset as u64,
            })
        });
        Findings {
            hits: hits.collect(),
            bytes: haystack.len() as u64,
        }
    }

    /// Returns the needles in a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan_file(&self, path: &Path) -> std::io::Result<Findings> {
        Ok(self.scan_bytes(&std::fs::read(path)?, &path.display().to_string()))
    }
}
