//! Looks for a secret where it must not be: in a process's memory, in files, in any usual encoding.
//!
//! A search that finds nothing proves something only if the same search finds what was planted;
//! callers plant first.

#![forbid(unsafe_code)]

mod forms;
mod memory;

use std::path::Path;

use memchr::memmem::Finder;
use serde::Serialize;

pub use forms::{Needle, forms};
pub use memory::{MemoryError, search_memory};

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

/// What was searched, and what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Every needle found, at most once a place.
    pub hits: Vec<Hit>,
    /// How many bytes were searched.
    pub bytes: u64,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.bytes += other.bytes;
    }
}

/// The needles, ready to be looked for many times.
pub struct Search {
    finders: Vec<(String, Finder<'static>)>,
    longest: usize,
}

impl Search {
    /// Prepares the search.
    #[must_use]
    pub fn new(needles: &[Needle]) -> Self {
        let finders = needles.iter().map(|needle| {
            let finder = Finder::new(&needle.bytes).into_owned();
            (needle.name.clone(), finder)
        });
        Self {
            finders: finders.collect(),
            longest: needles.iter().map(|n| n.bytes.len()).max().unwrap_or(0),
        }
    }

    /// How much of two neighbouring pieces must overlap so that nothing hides across their border.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    /// The needles in `haystack`, each at its first place.
    #[must_use]
    pub fn bytes(&self, haystack: &[u8], place: &str) -> Findings {
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

    /// The needles in a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &Path) -> std::io::Result<Findings> {
        Ok(self.bytes(&std::fs::read(path)?, &path.display().to_string()))
    }
}
