//! The end of the process: a signal asks for it, and everything gets a bounded time.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How long open requests and WebSockets may take to end.
pub const GRACE: Duration = Duration::from_secs(10);

/// Resolves on SIGTERM or SIGINT.
///
/// # Errors
/// When the system does not let signals be caught.
pub async fn requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
