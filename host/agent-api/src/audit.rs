//! What agents' clients report after each session, one JSON line each.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use authloop_agent_api_types::stamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::error::ApiError;

/// The file is renamed to `.1` beyond this; so twice as much is kept.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_TEXT_BYTES: usize = 255;
/// Beyond it, programs that read the log do not agree on the number (RFC 8259 section 6).
const MAX_DURATION_MS: u64 = (1 << 53) - 1;

/// What a client reports. Members that are not named here are passed over.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(super) struct AuditEvent {
    /// The form's version, 1.
    #[schema(minimum = 1, maximum = 1)]
    schema_version: u32,
    #[schema(min_length = 1, max_length = 255)]
    session_id: String,
    #[schema(min_length = 1, max_length = 255)]
    wall_type: String,
    #[schema(min_length = 1, max_length = 255)]
    service_host: String,
    #[schema(min_length = 1, max_length = 255)]
    decision: String,
    outcome: AuditOutcome,
    #[schema(maximum = 9007199254740991_u64)]
    duration_ms: u64,
    #[schema(min_length = 1, max_length = 255)]
    sdk_version: String,
    #[schema(min_length = 1, max_length = 255)]
    runtime: String,
}

/// How the client saw it end.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuditOutcome {
    /// Done.
    Resolved,
    /// Withdrawn or refused.
    Cancelled,
    /// Anything else.
    Error,
}

impl AuditEvent {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.schema_version != 1 {
            return Err(ApiError::invalid("schema_version", "must be 1"));
        }
        if self.duration_ms > MAX_DURATION_MS {
            let problem = format!("must be at most {MAX_DURATION_MS}");
            return Err(ApiError::invalid("duration_ms", problem));
        }
        let texts = [
            ("session_id", &self.session_id),
            ("wall_type", &self.wall_type),
            ("service_host", &self.service_host),
            ("decision", &self.decision),
            ("sdk_version", &self.sdk_version),
            ("runtime", &self.runtime),
        ];
        for (field, text) in texts {
            if !(1..=MAX_TEXT_BYTES).contains(&text.len()) {
                let problem = format!("must have from 1 to {MAX_TEXT_BYTES} bytes");
                return Err(ApiError::invalid(field, problem));
            }
        }
        Ok(())
    }
}

/// Where audit events go: a file, or this process's log. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Option<Arc<Mutex<Log>>>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    size: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

impl AuditLog {
    /// Appends to a file, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(Arc::new(Mutex::new(Log::open(path)?)))))
    }

    /// Writes one event; waits for the disk, so call it where that is allowed.
    pub(super) fn write(&self, event: &AuditEvent) -> io::Result<()> {
        let Some(log) = &self.0 else {
            tracing::info!(
                target: "authloop_host::audit",
                session = event.session_id,
                outcome = ?event.outcome,
                duration_ms = event.duration_ms,
                "audit"
            );
            return Ok(());
        };
        let at = stamp(OffsetDateTime::now_utc());
        let mut line = serde_json::to_vec(&Line { at, event })?;
        line.push(b'\n');
        log.lock().append(&line)
    }
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            size: file.metadata()?.len(),
            path: path.to_owned(),
            file,
        })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > MAX_FILE_BYTES {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }
}
