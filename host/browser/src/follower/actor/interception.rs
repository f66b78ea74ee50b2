//! Switches the interception of prompts on while the user has the browser, and off again.

use std::{sync::Arc, time::Duration};

use authloop_cdp::{BrowserError, CdpSessionId, Connection, EventScope, FrameId, frames_in};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Actor, TaskReport};
use crate::{focus::FrameSource, prompts};

/// Most paused requests that wait to be continued.
const MAX_PAUSED: usize = 8192;
/// How long documents may take to be left alone again; a page that hangs asks for nothing either.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the browser may take to have its settings back.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Scripts for documents to come, with the session that has them.
type InstalledScripts = Mutex<Vec<(Option<CdpSessionId>, Value)>>;

/// Everything that is switched on, to be switched off again.
#[derive(Clone)]
pub(super) struct Interception {
    ended: CancellationToken,
    tasks: TaskTracker,
    scripts: Arc<InstalledScripts>,
}

impl Actor {
    /// Gives the browser to the user: what it would ask unseen is theirs to answer.
    pub(super) fn begin_user_control(&mut self) {
        if self.prompts.interception.is_some() {
            return;
        }
        let interception = Interception {
            ended: CancellationToken::new(),
            tasks: TaskTracker::new(),
            scripts: Arc::default(),
        };
        let go_on = continue_paused_requests(
            self.connection(),
            self.sessions(),
            interception.ended.clone(),
        );
        interception.tasks.spawn(go_on);
        self.prompts.interception = Some(interception);
        for session in self.sessions() {
            self.intercept_session(session);
        }
    }

    /// Switches everything on in a page, or in a frame of another process.
    pub(super) fn intercept_session(&self, session: Option<CdpSessionId>) {
        let Some(interception) = self.prompts.interception.clone() else {
            return;
        };
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let ended = interception.ended.clone();
        let work = async move {
            let of = session.as_ref();
            let intercept = json!({ "enabled": true });
            for (method, params) in [
                ("Page.setInterceptFileChooserDialog", intercept),
                ("Fetch.enable", prompts::interception_params()),
            ] {
                connection.post(of, method, params).await?;
            }
            for script in prompts::scripts() {
                let method = "Page.addScriptToEvaluateOnNewDocument";
                let mut answer = connection.call(of, method, script).await?;
                let script = (session.clone(), answer["identifier"].take());
                interception.scripts.lock().push(script);
            }
            let tree = connection.call(of, "Page.getFrameTree", json!({})).await?;
            let _actor_gone = reporter
                .send(TaskReport::Intercepted(session.clone(), tree))
                .await;
            Ok::<(), BrowserError>(())
        };
        interception.tasks.spawn(async move {
            tokio::select! {
                done = work => if let Err(error) = done {
                    tracing::debug!(%error, "a page or frame was gone before it was served");
                },
                () = ended.cancelled() => {}
            }
        });
    }

    /// Hears the prompts of a frame's document; ends with the document.
    pub(super) fn watch_prompts(&mut self, source: &FrameSource) {
        let Some(interception) = self.prompts.interception.clone() else {
            return;
        };
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let source = source.clone();
        interception.tasks.spawn(async move {
            let send = |report| {
                let (source, reporter) = (source.clone(), reporter.clone());
                async move {
                    let _actor_gone = reporter.send(TaskReport::Frame(source, report)).await;
                }
            };
            let ended = prompts::watch(&connection, &source, &interception.ended, send).await;
            tracing::trace!(?ended, "a document is heard no more");
        });
    }

    /// Watches the documents that a page or frame shows already.
    pub(super) fn on_intercepted(&mut self, session: Option<&CdpSessionId>, answer: &Value) {
        for frame in frames_in(answer) {
            if let Some(frame) = frame["id"].as_str().map(FrameId::from) {
                let session = session.cloned();
                self.watch_prompts(&FrameSource { session, frame });
            }
        }
    }

    /// Gives the browser back to the agent.
    pub(super) fn end_user_control(&mut self, done: oneshot::Sender<()>) {
        let Some(interception) = self.prompts.interception.take() else {
            let _nobody_waits = done.send(());
            return;
        };
        self.forget_prompts(|_| true);
        interception.ended.cancel();
        interception.tasks.close();
        let (connection, sessions) = (self.connection(), self.sessions());
        tokio::spawn(async move {
            let _a_page_hangs = timeout(RELEASE_TIMEOUT, interception.tasks.wait()).await;
            let released = timeout(
                RESTORE_TIMEOUT,
                restore_settings(&connection, sessions, &interception),
            )
            .await;
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

/// Continues every request that interception pauses, until the end. Requests are paused only because
/// they may be asked for a password.
async fn continue_paused_requests(
    connection: Connection,
    sessions: Vec<Option<CdpSessionId>>,
    ended: CancellationToken,
) {
    let mut paused = connection.subscribe(EventScope::All, &["Fetch.requestPaused"], MAX_PAUSED);
    loop {
        let event = tokio::select! {
            event = paused.recv() => event,
            () = ended.cancelled() => return,
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
                    ("Fetch.enable", prompts::interception_params()),
                ] {
                    let _gone = connection.post(session.as_ref(), method, params).await;
                }
            }
        }
    }
}

async fn restore_settings(
    connection: &Connection,
    sessions: Vec<Option<CdpSessionId>>,
    interception: &Interception,
) {
    let scripts = std::mem::take(&mut *interception.scripts.lock());
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
