//! The host's own way past the gate, for its other processes: a Unix socket that only its own user can
//! connect to.
//!
//! No address and no token, for an agent can have the browser open both: it reads files and speaks HTTP
//! for whoever drives it, but opens no Unix sockets.

use std::{
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use authloop_gate_core::ClientRole;
use axum::{
    Router,
    extract::{
        RawQuery, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::get,
};
use serde_json::json;
use tokio::{
    net::UnixListener,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    GateError, GatedBrowser,
    ending::{Ending, OPEN_ANEW_REQUEST, OPEN_REQUEST},
    http::connect_client,
    lease::LocalLease,
};

/// How often a holder is asked for a sign of life, and how long it may go without giving one.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const MAX_SILENCE: Duration = Duration::from_secs(35);
/// How long a holder may take to read one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest name of a handoff, in bytes; agents that are refused are told it.
const MAX_HANDOFF_NAME_BYTES: usize = 128;

/// A control socket in the file system; dropping it ends and removes it.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    stop: CancellationToken,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.stop.cancel();
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

#[derive(Clone)]
struct ControlState {
    browser: GatedBrowser,
    stop: CancellationToken,
}

/// Serves control of `browser` at `path` (mode 0600). Must be called inside a tokio runtime.
pub(super) fn listen(browser: GatedBrowser, path: &Path) -> Result<ControlSocket, GateError> {
    let listener = bind(path).map_err(|error| GateError::Control {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let stop = CancellationToken::new();
    let state = ControlState {
        browser,
        stop: stop.clone(),
    };
    let router = Router::new()
        .route("/browser", get(ungated_browser))
        .route("/hold", get(hold))
        .with_state(state);
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gate's control socket failed");
        }
    });
    Ok(ControlSocket {
        path: path.to_owned(),
        stop,
    })
}

/// Takes the place of a socket that an earlier gate left behind, and of nothing else.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            let taken = std::io::ErrorKind::AlreadyExists;
            return Err(std::io::Error::new(taken, "something else is there"));
        }
        Err(_) => {}
    }
    // Closed to others from its first moment: it is made where only we can go.
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let private = tempfile::tempdir_in(folder.unwrap_or(Path::new(".")))?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, path)?;
    Ok(listener)
}

/// `GET /browser`: CDP, past the gate.
async fn ungated_browser(State(state): State<ControlState>, upgrade: WebSocketUpgrade) -> Response {
    let role = ClientRole {
        gated: false,
        page: None,
    };
    connect_client(upgrade, &state.browser, role, state.stop).await
}

/// `GET /hold?HANDOFF`: the gate is closed as long as the socket is there.
async fn hold(
    State(state): State<ControlState>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let mut handoff = query.unwrap_or_default();
    handoff.retain(|c| c.is_ascii_graphic());
    handoff.truncate(MAX_HANDOFF_NAME_BYTES);
    upgrade.on_upgrade(async move |mut socket| {
        let lease = match state.browser.close(&handoff).await {
            Ok(super::Lease::Local(lease)) => lease,
            // The browser is in this process.
            Ok(super::Lease::Remote(_)) => return,
            Err(error) => {
                let taken = matches!(error, GateError::AlreadyClosed);
                let told = json!({ "error": error.to_string(), "taken": taken });
                send_json(&mut socket, told).await;
                return;
            }
        };
        if send_json(&mut socket, json!({ "state": "closed" })).await
            && let Some(ending) = wait_for_open_request(&mut socket, &state.stop).await
        {
            open(&mut socket, lease, ending).await;
        }
        // Otherwise the lease ends here, and the gate opens for want of a holder.
    })
}

async fn open(socket: &mut WebSocket, lease: LocalLease, ending: Ending) {
    let told = match lease.open(ending).await {
        Ok(()) => json!({ "state": "open" }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    let _gone = send_json(socket, told).await;
}

/// Waits for the holder's word; `None` if it is gone without one.
async fn wait_for_open_request(socket: &mut WebSocket, stop: &CancellationToken) -> Option<Ending> {
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if text.as_str() == OPEN_REQUEST => {
                    return Some(Ending::ByUser);
                }
                Some(Ok(Message::Text(text))) if text.as_str() == OPEN_ANEW_REQUEST => {
                    return Some(Ending::Otherwise);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => heard = Instant::now(),
            },
            _ = pings.tick() => {
                if heard.elapsed() > MAX_SILENCE {
                    tracing::warn!("the holder of the gate has gone silent");
                    return None;
                }
                let ping = socket.send(Message::Ping(Vec::new().into()));
                if !matches!(timeout(SEND_TIMEOUT, ping).await, Ok(Ok(()))) {
                    return None;
                }
            }
            () = stop.cancelled() => return None,
        }
    }
}

async fn send_json(socket: &mut WebSocket, what: serde_json::Value) -> bool {
    let said = socket.send(Message::text(what.to_string()));
    matches!(timeout(SEND_TIMEOUT, said).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_its_own_user_may_connect_and_nothing_else_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");

        let first = bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(first);
        let again = bind(&path).is_ok();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "somebody's").unwrap();
        let over_a_file = bind(&path);

        assert_eq!(mode, 0o600);
        assert!(again, "an earlier gate's socket stands in the way");
        assert!(over_a_file.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
