//! Tells authloop's own log lines and spans from those of libraries.

use tracing::Metadata;

/// Whether a log line or span is authloop's own, not a library's.
pub(crate) fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let own = target.split("::").next().unwrap_or(target);
    own == "authloop" || own.starts_with("authloop_")
}
