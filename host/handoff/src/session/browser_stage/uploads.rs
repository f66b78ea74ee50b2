//! Files that the user gives the page: kept in a private directory until the handoff ends.

use std::path::{Path, PathBuf};

use authloop_protocol::browser_ui::{FileInfo, files_fit};
use tempfile::TempDir;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};

/// What one handoff may keep on disk, over all choices.
const MAX_KEPT_BYTES: u64 = 256 * 1024 * 1024;

/// Why files are not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::session) enum UploadError {
    #[error("the files are out of bounds")]
    Bounds,
    #[error("this handoff has taken all the files it may keep")]
    Full,
    #[error("more bytes came than the files were said to have")]
    TooMuch,
    #[error("the files cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
}

/// Everything that came; removed when dropped.
#[derive(Default)]
pub(super) struct Uploads {
    root: Option<TempDir>,
    current: Option<Upload>,
    kept: u64,
}

struct Upload {
    id: u32,
    paths: Vec<PathBuf>,
    /// Bytes each file still lacks.
    lacking: Vec<u64>,
    open: Option<File>,
    received: u64,
}

impl Uploads {
    /// Begins to take files for a chooser. Gives their paths if nothing more is to come.
    pub(super) async fn begin(
        &mut self,
        id: u32,
        files: &[FileInfo],
    ) -> Result<Option<Vec<String>>, UploadError> {
        if !files_fit(files) {
            return Err(UploadError::Bounds);
        }
        let total: u64 = files.iter().map(|file| file.size).sum();
        if self.kept + total > MAX_KEPT_BYTES {
            return Err(UploadError::Full);
        }
        self.kept += total;
        let root = match &self.root {
            Some(root) => root.path().to_owned(),
            None => {
                let root = private_directory()?;
                self.root.insert(root).path().to_owned()
            }
        };
        let mut paths = Vec::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            // Two files may have one name, and pages look at names.
            let directory = root.join(format!("{id}-{place}"));
            fs::create_dir_all(&directory).await?;
            let path = directory.join(&file.name);
            File::create(&path).await?;
            paths.push(path);
        }
        self.current = Some(Upload {
            id,
            paths,
            lacking: files.iter().map(|file| file.size).collect(),
            open: None,
            received: 0,
        });
        self.finished()
    }

    /// Takes the next bytes; those of a choice that is over are passed over. Gives the paths once
    /// all are there.
    pub(super) async fn take(
        &mut self,
        id: u32,
        mut bytes: &[u8],
    ) -> Result<Option<Vec<String>>, UploadError> {
        let Some(upload) = self.current.as_mut().filter(|upload| upload.id == id) else {
            return Ok(None);
        };
        upload.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let at = upload.lacking.iter().position(|lacking| *lacking > 0);
            let Some(at) = at else {
                return Err(UploadError::TooMuch);
            };
            let part = usize::try_from(upload.lacking[at]).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(part.min(bytes.len()));
            let file = match &mut upload.open {
                Some(file) => file,
                None => upload.open.insert(append(&upload.paths[at]).await?),
            };
            file.write_all(now).await?;
            upload.lacking[at] -= now.len() as u64;
            if upload.lacking[at] == 0
                && let Some(mut file) = upload.open.take()
            {
                file.flush().await?;
            }
            bytes = rest;
        }
        self.finished()
    }

    /// Bytes that have come for a chooser.
    pub(super) fn received(&self, id: u32) -> u64 {
        let current = self.current.as_ref().filter(|upload| upload.id == id);
        current.map_or(0, |upload| upload.received)
    }

    /// The user or the page gave the choice up.
    pub(super) fn stop(&mut self) {
        self.current = None;
    }

    fn finished(&mut self) -> Result<Option<Vec<String>>, UploadError> {
        let whole = |upload: &&mut Upload| upload.lacking.iter().all(|lacking| *lacking == 0);
        let Some(upload) = self.current.as_mut().filter(whole) else {
            return Ok(None);
        };
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let paths = upload.paths.iter().map(text).collect();
        self.current = None;
        Ok(Some(paths))
    }
}

/// Nobody but this user may look in.
fn private_directory() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("authloop-files-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o700));
    }
    builder.tempdir()
}

async fn append(path: &Path) -> std::io::Result<File> {
    fs::OpenOptions::new().append(true).open(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[(&str, u64)]) -> Vec<FileInfo> {
        let file = |(name, size): &(&str, u64)| FileInfo {
            name: (*name).to_owned(),
            size: *size,
        };
        sizes.iter().map(file).collect()
    }

    #[tokio::test]
    async fn bytes_find_their_files_and_nothing_is_left_behind() {
        let mut uploads = Uploads::default();
        let chosen = files(&[("a.txt", 3), ("empty", 0), ("a.txt", 4)]);

        assert_eq!(uploads.begin(1, &chosen).await.unwrap(), None);
        assert_eq!(uploads.take(1, b"onet").await.unwrap(), None);
        assert_eq!(uploads.received(1), 4);
        let paths = uploads.take(1, b"wo!").await.unwrap().unwrap();

        let read = |path: &String| std::fs::read_to_string(path).unwrap();
        let contents: Vec<_> = paths.iter().map(read).collect();
        assert_eq!(contents, ["one", "", "two!"]);
        assert!(paths.iter().all(|path| !path.contains("..")));
        let root = uploads.root.as_ref().unwrap().path().to_owned();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&root).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "others may look in");
        }
        drop(uploads);
        assert!(!root.exists());
    }

    #[tokio::test]
    async fn a_viewer_that_sends_too_much_is_refused() {
        let mut uploads = Uploads::default();

        let two = uploads.begin(1, &files(&[("a", 2)])).await.unwrap();
        assert_eq!(two, None);
        let error = uploads.take(1, b"abc").await.unwrap_err();
        assert!(matches!(error, UploadError::TooMuch), "{error}");
        let up = uploads.begin(2, &files(&[("../a", 2)])).await.unwrap_err();
        assert!(matches!(up, UploadError::Bounds), "{up}");
        assert_eq!(uploads.take(9, b"late").await.unwrap(), None);

        let most = authloop_protocol::browser_ui::MAX_TOTAL_FILE_BYTES;
        let mut last = Ok(None);
        for id in 3..20 {
            last = uploads.begin(id, &files(&[("a", most)])).await;
        }
        assert!(matches!(last, Err(UploadError::Full)));
    }
}
