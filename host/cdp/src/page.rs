//! One attached page.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    connection::{Connection, Event, EventScope, EventStream},
    error::BrowserError,
    ids::{CdpSessionId, TargetId},
};

/// All frames in an answer to `Page.getFrameTree`, the top one first.
pub fn frames_in(answer: &Value) -> Vec<&Value> {
    let mut trees = vec![&answer["frameTree"]];
    let mut frames = Vec::new();
    while let Some(tree) = trees.pop() {
        frames.push(&tree["frame"]);
        trees.extend(tree["childFrames"].as_array().into_iter().flatten());
    }
    frames
}

/// A page this connection is attached to; cheap to clone.
#[derive(Clone)]
pub struct Page(Arc<Inner>);

struct Inner {
    connection: Connection,
    target: TargetId,
    session: Option<CdpSessionId>,
}

impl Page {
    pub(super) fn new(
        connection: Connection,
        target: TargetId,
        session: Option<CdpSessionId>,
    ) -> Self {
        Self(Arc::new(Inner {
            connection,
            target,
            session,
        }))
    }

    /// The page's target.
    pub fn target(&self) -> &TargetId {
        &self.0.target
    }

    /// The page's session; `None` when the whole connection is this page's.
    pub fn session(&self) -> Option<&CdpSessionId> {
        self.0.session.as_ref()
    }

    /// Sends a command and waits for its answer, at most 20 s.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        let session = self.0.session.as_ref();
        self.0.connection.call(session, method, params).await
    }

    /// Queues a command, and gives a future for its answer: commands begun one after the other
    /// are sent in that order, whenever their answers come.
    pub async fn begin(
        &self,
        method: &str,
        params: Value,
    ) -> Result<impl Future<Output = Result<Value, BrowserError>> + Send + use<>, BrowserError>
    {
        let session = self.0.session.as_ref();
        self.0.connection.begin(session, method, params).await
    }

    /// Sends a command and never waits, neither for the answer nor for room:
    /// [`BrowserError::Busy`] says that it was not sent.
    pub fn notify(&self, method: &str, params: Value) -> Result<(), BrowserError> {
        let session = self.0.session.as_ref();
        self.0.connection.notify(session, method, params)
    }

    /// Sends a command without waiting for its answer, but for room in the queue: it is not lost.
    pub async fn post(&self, method: &str, params: Value) -> Result<(), BrowserError> {
        let session = self.0.session.as_ref();
        self.0.connection.post(session, method, params).await
    }

    /// Ends this session; for those of `Browser::session`.
    pub async fn detach(&self) {
        if let Some(session) = &self.0.session {
            let params = json!({ "sessionId": session.as_str() });
            // A target that is gone needs no detaching.
            let _gone = self
                .0
                .connection
                .post(None, "Target.detachFromTarget", params)
                .await;
        }
    }

    /// Subscribes to this page's events by exact method name.
    pub fn subscribe(&self, methods: &[&str], capacity: usize) -> EventStream {
        let scope = EventScope::Only(self.0.session.clone());
        self.0.connection.subscribe(scope, methods, capacity)
    }

    /// Accepts or dismisses the JavaScript dialog that holds the page; `text` answers a prompt.
    pub async fn handle_dialog(
        &self,
        accept: bool,
        text: Option<&str>,
    ) -> Result<(), BrowserError> {
        let mut params = json!({ "accept": accept });
        if let Some(text) = text {
            params["promptText"] = text.into();
        }
        self.call("Page.handleJavaScriptDialog", params).await?;
        Ok(())
    }

    /// Makes a world of this name in a frame, which the frame's scripts do not reach; gives the execution
    /// context for [`Page::evaluate_in`]. The same name gives the same world again.
    pub async fn isolated_world(&self, frame: &Value, name: &str) -> Result<Value, BrowserError> {
        let params = json!({ "frameId": frame["id"], "worldName": name });
        let mut world = self.call("Page.createIsolatedWorld", params).await?;
        Ok(world["executionContextId"].take())
    }

    /// Evaluates in an execution context and gives the value, of a promise what it comes to; `null` for an
    /// exception.
    pub async fn evaluate_in(
        &self,
        context: Value,
        expression: &str,
    ) -> Result<Value, BrowserError> {
        let params = json!({
            "contextId": context, "expression": expression,
            "returnByValue": true, "awaitPromise": true,
        });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        Ok(answer["result"]["value"].take())
    }

    /// Whether the event is from this page itself (not from a frame in another process).
    pub fn owns(&self, event: &Event) -> bool {
        event.session == self.0.session
    }
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Page {}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Page").field(&self.0.target).finish()
    }
}
