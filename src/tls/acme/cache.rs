//! The account's key and the certificates, on disk for the next start.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use instant_acme::AccountCredentials;

use crate::{config::AcmeSettings, tls::CertificateAndKey};

/// The files for one domain of one directory.
#[derive(Clone, Debug)]
pub(crate) struct AcmeCache {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

impl AcmeCache {
    pub(crate) fn new(acme: &AcmeSettings) -> Self {
        // Another directory's account is nobody there, and a test authority's certificate must not
        // be shown once the real one is asked.
        let directory = plain(acme.directory.trim_start_matches("https://"));
        let domain = plain(&acme.domain);
        Self {
            account: acme.cache.join(format!("{directory}.account.json")),
            certificate: acme.cache.join(format!("{directory}.{domain}.pem")),
            folder: acme.cache.clone(),
        }
    }

    /// The certificate of an earlier start, if it works; chain and key lie in one file, so that
    /// they always belong together.
    pub(crate) fn certificate(&self) -> Option<CertificateAndKey> {
        let pem = std::fs::read(&self.certificate).ok()?;
        let pair = CertificateAndKey::from_pem(&pem, &pem);
        pair.inspect_err(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "the cached certificate does not work"
            );
        })
        .ok()
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn store_certificate(&self, chain: &str, key: &str) -> io::Result<()> {
        self.write(&self.certificate, &format!("{chain}\n{key}"))
    }

    /// The account of an earlier start.
    pub(super) fn account(&self) -> Option<AccountCredentials> {
        let json = std::fs::read(&self.account).ok()?;
        serde_json::from_slice(&json)
            .inspect_err(|_| tracing::warn!("the cached ACME account cannot be read"))
            .ok()
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn store_account(&self, credentials: &AccountCredentials) -> io::Result<()> {
        self.write(&self.account, &serde_json::to_string(credentials)?)
    }

    /// For an account that the directory does not know any more.
    pub(super) fn forget_account(&self) {
        let _ = std::fs::remove_file(&self.account);
    }

    /// Whole or not at all, and readable by nobody else at any moment.
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let draft = path.with_extension("new");
        // Of a server that was killed while it wrote.
        let _ = std::fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Fit for a file's name.
fn plain(text: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    text.chars().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::certificate_and_key::tests::pem;

    fn acme(folder: &Path, directory: &str) -> AcmeSettings {
        AcmeSettings {
            domain: "relay.example".to_owned(),
            directory: directory.to_owned(),
            contact: Vec::new(),
            cache: folder.join("cache"),
            ca_file: None,
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_its_owners_only_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let acme = acme(folder.path(), "https://ca.example/dir");
        let cache = AcmeCache::new(&acme);
        assert!(cache.certificate().is_none());
        let (chain, key) = pem(&["relay.example"], 90);

        cache.store_certificate(&chain, &key).unwrap();
        cache.store_certificate(&chain, &key).unwrap();

        assert!(
            AcmeCache::new(&acme)
                .certificate()
                .unwrap()
                .covers("relay.example")
        );
        assert_eq!(mode(&acme.cache), 0o700);
        let files: Vec<_> = std::fs::read_dir(&acme.cache).unwrap().collect();
        assert_eq!(files.len(), 1, "a draft was left");
        assert_eq!(mode(&files[0].as_ref().unwrap().path()), 0o600);
    }

    #[test]
    fn another_directorys_certificate_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = pem(&["relay.example"], 90);
        let staging = AcmeCache::new(&acme(folder.path(), "https://staging.example/dir"));
        staging.store_certificate(&chain, &key).unwrap();

        let production = AcmeCache::new(&acme(folder.path(), "https://ca.example/dir"));

        assert!(production.certificate().is_none());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AcmeCache::new(&acme(folder.path(), "https://ca.example/dir"));
        let (chain, key) = pem(&["relay.example"], 90);
        cache.store_certificate(&chain[..200], &key).unwrap();

        assert!(cache.certificate().is_none());
        assert!(cache.account().is_none());
    }
}
