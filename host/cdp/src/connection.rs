//! One CDP connection: commands out, replies and events in.
//!
//! A reader task owns the transport's receiving half and never waits for anybody: replies complete a
//! one-shot, events go to bounded subscriptions, and a subscription that is full loses the event
//! and is told so.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{error::BrowserError, ids::CdpSessionId, transport::Transport};

/// How long a command may take before it is given up.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

type Reply = Result<Value, BrowserError>;

/// An event from the browser.
#[derive(Debug, Clone)]
pub struct Event {
    /// The session it belongs to; `None` for the browser itself (or for the page, on a page socket).
    pub session: Option<CdpSessionId>,
    /// For example `Page.frameNavigated`.
    pub method: Arc<str>,
    /// The event's parameters.
    pub params: Arc<Value>,
}

/// Events of one subscription, in order; bounded.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<Event>,
    lost: Arc<AtomicU64>,
}

impl EventStream {
    /// The next event, or `None` once the connection has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// Events lost since the last call because this receiver was slow; zero if none.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// Which sessions a subscription listens to.
#[derive(Debug, Clone)]
pub enum EventScope {
    /// Every session, and the browser itself.
    All,
    /// This one only.
    Only(Option<CdpSessionId>),
}

struct Subscription {
    scope: EventScope,
    methods: Vec<String>,
    sender: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl Subscription {
    fn wants(&self, session: Option<&CdpSessionId>, method: &str) -> bool {
        let in_scope = match &self.scope {
            EventScope::All => true,
            EventScope::Only(wanted) => wanted.as_ref() == session,
        };
        in_scope && self.methods.iter().any(|m| m == method)
    }
}

struct Pending {
    method: String,
    reply: oneshot::Sender<Reply>,
}

struct Shared {
    next_id: AtomicU64,
    pending: Mutex<HashMap<u64, Pending>>,
    subscriptions: Mutex<Vec<Subscription>>,
    ended: watch::Sender<Option<BrowserError>>,
}

/// A cheap handle on the connection; the transport closes when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    outgoing: mpsc::Sender<String>,
    shared: Arc<Shared>,
}

/// What a message from the browser may be; anything else is ignored.
#[derive(Deserialize)]
struct IncomingMessage {
    id: Option<u64>,
    method: Option<String>,
    #[serde(rename = "sessionId")]
    session: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

impl Connection {
    /// Takes over an open transport and starts to read it.
    pub(super) fn start(transport: Transport) -> Self {
        let Transport { outgoing, incoming } = transport;
        let shared = Arc::new(Shared {
            next_id: AtomicU64::new(1),
            pending: Mutex::default(),
            subscriptions: Mutex::default(),
            ended: watch::Sender::new(None),
        });
        tokio::spawn(read(incoming, Arc::clone(&shared)));
        Self { outgoing, shared }
    }

    /// Sends a command and waits for its answer, at most 20 s.
    pub async fn call(&self, session: Option<&CdpSessionId>, method: &str, params: Value) -> Reply {
        let exchange = async { self.begin(session, method, params).await?.await };
        match tokio::time::timeout(CALL_TIMEOUT, exchange).await {
            Ok(reply) => reply,
            Err(_) => Err(BrowserError::Timeout(method.to_owned())),
        }
    }

    /// Queues a command; the future it returns waits for the answer, without a limit.
    pub async fn begin(
        &self,
        session: Option<&CdpSessionId>,
        method: &str,
        params: Value,
    ) -> Result<impl Future<Output = Reply> + Send + use<>, BrowserError> {
        let (id, message) = self.message(session, method, params);
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            method: method.to_owned(),
            reply,
        };
        self.shared.pending.lock().insert(id, pending);
        // Forget the command when the caller stops waiting for it.
        let guard = PendingGuard {
            shared: Arc::clone(&self.shared),
            id,
        };
        // The reader may have drained `pending` just before the line above.
        if let Some(error) = self.error() {
            return Err(error);
        }
        self.outgoing.send(message).await.map_err(|_| self.gone())?;
        Ok(async move {
            let answer = answer.await;
            answer.unwrap_or_else(|_| Err(guard.shared.error().unwrap_or_else(closed)))
        })
    }

    /// Sends a command, waiting for room in the queue but never for the answer.
    pub async fn post(
        &self,
        session: Option<&CdpSessionId>,
        method: &str,
        params: Value,
    ) -> Result<(), BrowserError> {
        let (_, message) = self.message(session, method, params);
        self.outgoing.send(message).await.map_err(|_| self.gone())
    }

    /// Sends a command if there is room, and never waits.
    pub fn notify(
        &self,
        session: Option<&CdpSessionId>,
        method: &str,
        params: Value,
    ) -> Result<(), BrowserError> {
        let (_, message) = self.message(session, method, params);
        self.outgoing.try_send(message).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => BrowserError::Busy(method.to_owned()),
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })
    }

    /// Subscribes to events by exact method name; `capacity` of them may wait.
    pub fn subscribe(&self, scope: EventScope, methods: &[&str], capacity: usize) -> EventStream {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let lost = Arc::new(AtomicU64::new(0));
        // After the end nothing may be added: the stream would never finish.
        let mut subscriptions = self.shared.subscriptions.lock();
        if self.error().is_none() {
            subscriptions.push(Subscription {
                scope,
                methods: methods.iter().map(|m| (*m).to_owned()).collect(),
                sender,
                lost: Arc::clone(&lost),
            });
        }
        EventStream { receiver, lost }
    }

    /// Waits until the connection has ended, and says why.
    pub(super) async fn ended(&self) -> BrowserError {
        let mut ended = self.shared.ended.subscribe();
        let error = ended.wait_for(Option::is_some).await;
        match error {
            Ok(error) => error.clone().unwrap_or_else(closed),
            Err(_) => closed(),
        }
    }

    /// Why the connection has ended, if it has.
    pub(super) fn error(&self) -> Option<BrowserError> {
        self.shared.error()
    }

    fn gone(&self) -> BrowserError {
        self.error().unwrap_or_else(closed)
    }

    fn message(
        &self,
        session: Option<&CdpSessionId>,
        method: &str,
        params: Value,
    ) -> (u64, String) {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let mut command = serde_json::Map::with_capacity(4);
        command.insert("id".into(), id.into());
        command.insert("method".into(), method.into());
        command.insert("params".into(), params);
        if let Some(session) = session {
            command.insert("sessionId".into(), session.as_str().into());
        }
        (id, Value::Object(command).to_string())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

struct PendingGuard {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.shared.pending.lock().remove(&self.id);
    }
}

async fn read(mut incoming: mpsc::Receiver<Result<String, String>>, shared: Arc<Shared>) {
    let reason = loop {
        match incoming.recv().await {
            Some(Ok(text)) => shared.dispatch(&text),
            Some(Err(reason)) => break reason,
            None => break "it closed the connection".to_owned(),
        }
    };
    shared.end(&BrowserError::Gone(reason));
}

impl Shared {
    fn error(&self) -> Option<BrowserError> {
        self.ended.borrow().clone()
    }

    fn dispatch(&self, text: &str) {
        let Ok(incoming) = serde_json::from_str::<IncomingMessage>(text) else {
            // Never log the text: it may be what the user typed.
            tracing::debug!(bytes = text.len(), "unreadable CDP message ignored");
            return;
        };
        if let Some(id) = incoming.id {
            self.reply(id, incoming);
        } else if let Some(method) = incoming.method {
            self.publish(&Event {
                session: incoming.session.as_deref().map(CdpSessionId::from),
                method: method.into(),
                params: Arc::new(incoming.params.unwrap_or_default()),
            });
        }
    }

    fn reply(&self, id: u64, incoming: IncomingMessage) {
        let pending = self.pending.lock().remove(&id);
        let Some(Pending { method, reply }) = pending else {
            if let Some(error) = incoming.error {
                tracing::debug!(code = error.code, "a posted command was refused");
            }
            return;
        };
        let answer = match incoming.error {
            Some(error) => Err(BrowserError::Cdp {
                method,
                code: error.code,
                message: error.message,
            }),
            None => Ok(incoming.result.unwrap_or_default()),
        };
        let _nobody_waits = reply.send(answer);
    }

    fn publish(&self, event: &Event) {
        self.subscriptions.lock().retain(|subscription| {
            if !subscription.wants(event.session.as_ref(), &event.method) {
                return !subscription.sender.is_closed();
            }
            match subscription.sender.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    subscription.lost.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
    }

    fn end(&self, error: &BrowserError) {
        self.ended.send_replace(Some(error.clone()));
        for (_, pending) in self.pending.lock().drain() {
            let _nobody_waits = pending.reply.send(Err(error.clone()));
        }
        self.subscriptions.lock().clear();
    }
}

fn closed() -> BrowserError {
    BrowserError::Gone("the connection was closed".to_owned())
}
