//! The manifest of the page: which bytes its files are to have. Pure: the files are in the binary.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::BTreeMap, fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use super::files::{EmbeddedFiles, PageSource, content_type};

/// What a brand may put in the place of the page's own files.
const BRAND_FOLDER: &str = "brand/";

/// The page's files and their SHA-256, without those that a brand replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, [u8; 32]>);

impl Manifest {
    /// Of the page in this binary.
    #[must_use]
    pub fn embedded() -> Self {
        let own = PageSource::embedded_paths().filter(|path| !path.starts_with(BRAND_FOLDER));
        let hashed = own.filter_map(|path| {
            let file = EmbeddedFiles::get(&path)?;
            Some((path.into_owned(), file.metadata.sha256_hash()))
        });
        Self(hashed.collect())
    }

    /// Paths, for example `js/main.js`, and what they are to hash to.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.0.iter().map(|(path, hash)| (path.as_str(), hash))
    }

    /// SHA-256 of the manifest as it is written: one number for the whole page.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_string()).into()
    }
}

/// As `sha256sum` writes it, by path.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(path, hash)| writeln!(f, "{}  {path}", hex::encode(hash)))
    }
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let bad = || ManifestError::Line(index + 1);
            let (digits, path) = line.split_once("  ").ok_or_else(bad)?;
            let mut hash = [0; 32];
            hex::decode_to_slice(digits, &mut hash).map_err(|_| bad())?;
            let own = content_type(path).is_some() && !path.starts_with(BRAND_FOLDER);
            if !own || files.insert(path.to_owned(), hash).is_some() {
                return Err(bad());
            }
        }
        if !files.contains_key("index.html") {
            return Err(ManifestError::NoIndex);
        }
        Ok(Self(files))
    }
}

/// Why a text is no manifest of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Counted from 1.
    #[error("line {0} is not `SHA-256  PATH` of one of the page's files, named once")]
    Line(usize),
    /// A page without its first file.
    #[error("index.html is not in it")]
    NoIndex,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let own = Manifest::embedded();
        assert!(own.files().any(|(path, _)| path == "index.html"));
        assert!(own.files().all(|(path, _)| !path.starts_with("brand/")));
        let again: Manifest = own.to_string().parse().unwrap();
        assert_eq!(again, own);
        assert_eq!(again.hash(), own.hash());
    }

    /// `script/page-hash` writes it anew.
    #[test]
    fn the_published_one_is_that_of_the_page() {
        let published = include_str!("../../../viewer/PAGE.sha256");
        assert_eq!(published, Manifest::embedded().to_string());
    }

    #[test]
    fn what_is_none_is_named() {
        let hash = "0".repeat(64);
        let index = format!("{hash}  index.html\n");
        for (text, error) in [
            (String::new(), ManifestError::NoIndex),
            (format!("{hash}  js/a.js\n"), ManifestError::NoIndex),
            (format!("{index}{index}"), ManifestError::Line(2)),
            (format!("{index}{hash} js/a.js"), ManifestError::Line(2)),
            (format!("{index}00  js/a.js"), ManifestError::Line(2)),
            (
                format!("{index}{hash}  brand/brand.css"),
                ManifestError::Line(2),
            ),
            (format!("{index}{hash}  ../js/a.js"), ManifestError::Line(2)),
        ] {
            assert_eq!(text.parse::<Manifest>().unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = text.parse::<Manifest>();
        }
    }
}
