//! Switches on what tells of the browser's questions, and off again.

use std::sync::Arc;
use std::time::Duration;

use authloop_cdp::{BrowserError, CdpSessionId, Connection, EventScope, FrameId};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Actor, Found, frames_in};
use crate::focus::Source;
use crate::native;

/// Paused requests that wait to be let go.
const PAUSED: usize = 8192;
/// How long documents may take to be left alone again; a page that hangs asks for nothing either.
const LEAVING: Duration = Duration::from_secs(1);
/// How long the browser may take to have its settings back.
const RELEASING: Duration = Duration::from_secs(2);

/// Scripts for documents to come, by the session that has them.
type Scripts = Mutex<Vec<(Option<CdpSessionId>, Value)>>;

/// What is switched on, to be switched off again.
#[derive(Clone)]
pub(super) struct Serving {
    leave: CancellationToken,
    tasks: TaskTracker,
    scripts: Arc<Scripts>,
}

impl Actor {
    /// The browser is the user's: what it would ask unseen is theirs to answer.
    pub(super) fn serve(&mut self) {
        if self.asks.serving.is_some() {
            return;
        }
        let serving = Serving {
            leave: CancellationToken::new(),
            tasks: TaskTracker::new(),
            scripts: Arc::default(),
        };
        let go_on = let_go(self.connection(), self.sessions(), serving.leave.clone());
        serving.tasks.spawn(go_on);
        self.asks.serving = Some(serving);
        for session in self.sessions() {
            self.serve_session(session);
        }
    }

    /// Switches everything on in a page, or in a frame of another process.
    pub(super) fn serve_session(&self, session: Option<CdpSessionId>) {
        let Some(serving) = self.asks.serving.clone() else {
            return;
        };
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let leave = serving.leave.clone();
        let work = async move {
            let of = session.as_ref();
            let intercept = json!({ "enabled": true });
            for (method, params) in [
                ("Page.setInterceptFileChooserDialog", intercept),
                ("Fetch.enable", native::interception()),
            ] {
                connection.post(of, method, params).await?;
            }
            for script in native::scripts() {
                let method = "Page.addScriptToEvaluateOnNewDocument";
                let mut answer = connection.call(of, method, script).await?;
                let script = (session.clone(), answer["identifier"].take());
                serving.scripts.lock().push(script);
            }
            let tree = connection.call(of, "Page.getFrameTree", json!({})).await?;
            let _actor_gone = reporter.send(Found::Served(session.clone(), tree)).await;
            Ok::<(), BrowserError>(())
        };
        serving.tasks.spawn(async move {
            tokio::select! {
                done = work => if let Err(error) = done {
                    tracing::debug!(%error, "a page or frame was gone before it was served");
                },
                () = leave.cancelled() => {}
            }
        });
    }

    /// Hears what a frame's document asks; ends with the document.
    pub(super) fn watch_asks(&mut self, source: &Source) {
        let Some(serving) = self.asks.serving.clone() else {
            return;
        };
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let source = source.clone();
        serving.tasks.spawn(async move {
            let send = |said| {
                let (source, reporter) = (source.clone(), reporter.clone());
                async move {
                    let _actor_gone = reporter.send(Found::Said(source, said)).await;
                }
            };
            let ended = native::watch(&connection, &source, &serving.leave, send).await;
            tracing::trace!(?ended, "a document is heard no more");
        });
    }

    /// The documents that a page or frame shows already.
    pub(super) fn on_served(&mut self, session: Option<&CdpSessionId>, answer: &Value) {
        for frame in frames_in(answer) {
            if let Some(frame) = frame.as_str().map(FrameId::from) {
                let session = session.cloned();
                self.watch_asks(&Source { session, frame });
            }
        }
    }

    /// The browser is the agent's again.
    pub(super) fn release(&mut self, done: oneshot::Sender<()>) {
        let Some(serving) = self.asks.serving.take() else {
            let _nobody_waits = done.send(());
            return;
        };
        self.forget_asks(|_| true);
        serving.leave.cancel();
        serving.tasks.close();
        let (connection, sessions) = (self.connection(), self.sessions());
        tokio::spawn(async move {
            let _a_page_hangs = timeout(LEAVING, serving.tasks.wait()).await;
            let released = timeout(RELEASING, undo(&connection, sessions, &serving)).await;
            if released.is_err() {
                tracing::warn!("a page did not answer while its settings were given back");
            }
            let _nobody_waits = done.send(());
        });
    }

    /// The sessions of all pages and of frames in other processes.
    fn sessions(&self) -> Vec<Option<CdpSessionId>> {
        let pages = self.pages.values().map(|page| page.session().cloned());
        pages.chain(self.frames.keys().cloned().map(Some)).collect()
    }
}

/// Lets every request go on that is stopped on its way, until the end. Interception stops it for the
/// sake of a password that it may be asked for.
async fn let_go(
    connection: Connection,
    sessions: Vec<Option<CdpSessionId>>,
    leave: CancellationToken,
) {
    let mut paused = connection.subscribe(EventScope::All, &["Fetch.requestPaused"], PAUSED);
    loop {
        let event = tokio::select! {
            event = paused.recv() => event,
            () = leave.cancelled() => return,
        };
        let Some(event) = event else { return };
        let params = json!({ "requestId": event.params["requestId"] });
        let session = event.session.as_ref();
        if connection
            .post(session, "Fetch.continueRequest", params)
            .await
            .is_err()
        {
            return;
        }
        if paused.take_lost() > 0 {
            // Those that were not told of would wait forever.
            for session in &sessions {
                for (method, params) in [
                    ("Fetch.disable", json!({})),
                    ("Fetch.enable", native::interception()),
                ] {
                    let _gone = connection.post(session.as_ref(), method, params).await;
                }
            }
        }
    }
}

async fn undo(connection: &Connection, sessions: Vec<Option<CdpSessionId>>, serving: &Serving) {
    let scripts = std::mem::take(&mut *serving.scripts.lock());
    for (session, script) in scripts {
        let params = json!({ "identifier": script });
        let method = "Page.removeScriptToEvaluateOnNewDocument";
        let _gone = connection.post(session.as_ref(), method, params).await;
    }
    let undone = sessions.iter().map(|session| async {
        let off = json!({ "enabled": false });
        let method = "Page.setInterceptFileChooserDialog";
        let _gone = connection.post(session.as_ref(), method, off).await;
        let _gone = connection
            .call(session.as_ref(), "Fetch.disable", json!({}))
            .await;
    });
    join_all(undone).await;
}
