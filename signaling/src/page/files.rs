//! The page's files, in the binary or in a folder.

use std::{borrow::Cow, path::PathBuf};

use axum::body::Bytes;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

const PAGE_FOLDERS: [&str; 6] = ["js", "css", "vendor", "locales", "img", "brand"];

#[derive(RustEmbed)]
#[folder = "../viewer"]
#[include = "index.html"]
#[include = "js/*"]
#[include = "css/*"]
#[include = "vendor/*"]
#[include = "locales/*"]
#[include = "img/*"]
#[include = "brand/*"]
#[allow_missing = true]
pub(super) struct EmbeddedFiles;

/// Where the page's files come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageSource {
    /// From the binary.
    #[default]
    Embedded,
    /// From a folder, read again for every request: for development.
    Directory(PathBuf),
}

impl PageSource {
    /// The paths of the files in the binary, for example `js/main.js`.
    pub fn embedded_paths() -> impl Iterator<Item = Cow<'static, str>> {
        EmbeddedFiles::iter().filter(|path| content_type(path).is_some())
    }

    /// One file and its SHA-256; `None` for a path that is not the page's. What is in the binary is not
    /// copied, so that many who ask and do not read cost little.
    pub(super) async fn file(&self, path: &str) -> Option<(Bytes, [u8; 32])> {
        match self {
            Self::Embedded => {
                let file = EmbeddedFiles::get(path)?;
                let bytes = match file.data {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => Bytes::from(bytes),
                };
                Some((bytes, file.metadata.sha256_hash()))
            }
            Self::Directory(root) => {
                let bytes = tokio::fs::read(root.join(path)).await.ok()?;
                let hash = Sha256::digest(&bytes).into();
                Some((bytes.into(), hash))
            }
        }
    }
}

/// The content type of a path that may be the page's, for example `js/main.js`; `None` for any other, so that neither a
/// folder's tests nor anything outside it can be asked for.
#[must_use]
pub fn content_type(path: &str) -> Option<&'static str> {
    let plain = path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    let public = match path.split_once('/') {
        None => path == "index.html",
        Some((folder, _)) => PAGE_FOLDERS.contains(&folder),
    };
    if !plain || !public || path.contains(".test.") {
        return None;
    }
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "json" => Some("application/json"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "webmanifest" => Some("application/manifest+json"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_pages_own_files_have_a_type() {
        for path in [
            "index.html",
            "js/main.js",
            "js/ui/bar.js",
            "css/a.css",
            "img/icon.svg",
        ] {
            assert!(content_type(path).is_some(), "{path}");
        }
        for path in [
            "package.json",
            "tests/a.js",
            "js/a.test.js",
            "js/../package.json",
            "js//a.js",
            "js/.a.js",
            "js/a.ts",
            "node_modules/a.js",
            "js/a%2e.js",
            "",
            "js",
            "other.html",
        ] {
            assert_eq!(content_type(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_file_in_the_binary_is_not_copied() {
        let (bytes, _) = PageSource::Embedded.file("index.html").await.unwrap();
        assert!(!bytes.is_unique());
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_folders(path in "[a-z./%\\\\-]{0,40}") {
            if content_type(&path).is_some() {
                prop_assert!(!path.contains("..") || !path.split('/').any(|part| part == ".."));
                prop_assert!(!path.starts_with('/'));
            }
        }
    }
}
