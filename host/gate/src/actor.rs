//! The task between one browser and its clients: it carries out what [`Core`] decides.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use authloop_cdp::Transport;
use authloop_gate_core::{ClientId, ClientRole, ClosedMode, Core, Output, PreservedSetting};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::GateError;

/// Requests that may wait for the task.
const REQUESTS: usize = 256;
/// Messages that may wait for one client; an agent that lets more pile up is disconnected.
const CLIENT_QUEUE: usize = 4096;
/// How long clients' pages may take to come back at the opening.
const RETURN_TIMEOUT: Duration = Duration::from_secs(10);

type Incoming = Result<String, String>;

enum Request {
    Join(
        ClientRole,
        oneshot::Sender<(ClientId, mpsc::Receiver<Incoming>)>,
    ),
    Text(ClientId, String),
    Leave(ClientId),
    SetMode(ClosedMode),
    Close(String, oneshot::Sender<Vec<PreservedSetting>>),
    Open(oneshot::Sender<()>),
}

/// A handle on the task; cheap to clone. The task ends with the browser, or with the last handle.
#[derive(Clone)]
pub(super) struct Mux(mpsc::Sender<Request>);

/// One client's place at the gate; leaves when dropped.
pub(super) struct Seat {
    id: ClientId,
    mux: Mux,
    pub(super) incoming: mpsc::Receiver<Incoming>,
}

/// The half of a seat that sends.
#[derive(Clone)]
pub(super) struct SeatSender {
    id: ClientId,
    requests: mpsc::Sender<Request>,
}

impl Mux {
    pub(super) fn start(browser: Transport, mode: ClosedMode) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS);
        tokio::spawn(Actor::new(browser, mode).run(queue));
        Self(requests)
    }

    pub(super) async fn join(&self, role: ClientRole) -> Result<Seat, GateError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Join(role, reply)).await?;
        let (id, incoming) = answer.await.map_err(|_| GateError::BrowserGone)?;
        Ok(Seat {
            id,
            mux: self.clone(),
            incoming,
        })
    }

    /// The host's own way to the browser, which no closing stops.
    pub(super) async fn ungated(&self) -> Result<Transport, GateError> {
        let mut seat = self
            .join(ClientRole {
                gated: false,
                page: None,
            })
            .await?;
        let (outgoing, mut queue) = mpsc::channel::<String>(REQUESTS);
        let (found, incoming) = mpsc::channel(REQUESTS);
        let sender = seat.sender();
        // Two tasks: neither direction may wait for the other.
        let mut leaving = tokio::spawn(async move {
            while let Some(text) = queue.recv().await {
                if !sender.send(text).await {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = seat.incoming.recv() => message,
                    _ = &mut leaving => return,
                };
                match message {
                    Some(message) => {
                        if found.send(message).await.is_err() {
                            return;
                        }
                    }
                    None => return,
                }
            }
        });
        Ok(Transport { outgoing, incoming })
    }

    pub(super) async fn set_mode(&self, mode: ClosedMode) -> Result<(), GateError> {
        self.ask(Request::SetMode(mode)).await
    }

    /// Returns once no agent has a session, with the settings to keep in force.
    pub(super) async fn close(&self, handoff: &str) -> Result<Vec<PreservedSetting>, GateError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Close(handoff.to_owned(), reply)).await?;
        answer.await.map_err(|_| GateError::BrowserGone)
    }

    /// Returns once every agent goes on.
    pub(super) async fn open(&self) -> Result<(), GateError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Open(reply)).await?;
        answer.await.map_err(|_| GateError::BrowserGone)
    }

    /// Waits until the browser is gone.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    async fn ask(&self, request: Request) -> Result<(), GateError> {
        self.0
            .send(request)
            .await
            .map_err(|_| GateError::BrowserGone)
    }
}

impl Seat {
    pub(super) fn sender(&self) -> SeatSender {
        SeatSender {
            id: self.id,
            requests: self.mux.0.clone(),
        }
    }
}

impl SeatSender {
    /// Whether the browser is still there.
    pub(super) async fn send(&self, text: String) -> bool {
        self.requests
            .send(Request::Text(self.id, text))
            .await
            .is_ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (requests, id) = (self.mux.0.clone(), self.id);
        if let Err(mpsc::error::TrySendError::Full(request)) = requests.try_send(Request::Leave(id))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _task_gone = requests.send(request).await;
            });
        }
    }
}

struct Actor {
    core: Core,
    browser: Transport,
    clients: HashMap<ClientId, (bool, mpsc::Sender<Incoming>)>,
    /// Texts that the browser's queue had no room for; while there are any, no client is heard.
    backlog: VecDeque<String>,
    kept: Vec<PreservedSetting>,
    closing: Vec<oneshot::Sender<Vec<PreservedSetting>>>,
    opening: Vec<oneshot::Sender<()>>,
    settle_at: Option<Instant>,
}

impl Actor {
    fn new(browser: Transport, mode: ClosedMode) -> Self {
        Self {
            core: Core::new(mode),
            browser,
            clients: HashMap::new(),
            backlog: VecDeque::new(),
            kept: Vec::new(),
            closing: Vec::new(),
            opening: Vec::new(),
            settle_at: None,
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let outgoing = self.browser.outgoing.clone();
        loop {
            let settle_at = self.settle_at;
            let settle = async {
                match settle_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                permit = outgoing.reserve(), if !self.backlog.is_empty() => {
                    let (Ok(permit), Some(text)) = (permit, self.backlog.pop_front()) else {
                        break;
                    };
                    permit.send(text);
                }
                message = self.browser.incoming.recv() => match message {
                    Some(Ok(text)) => self.core.browser_text(&text),
                    Some(Err(_)) | None => break,
                },
                request = requests.recv(), if self.backlog.is_empty() => match request {
                    Some(request) => self.take(request),
                    None => break,
                },
                () = settle => {
                    self.settle_at = None;
                    self.core.finish_opening();
                }
            }
            self.drain().await;
        }
        // Dropping the queues tells every client.
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Join(role, reply) => {
                let (sender, receiver) = mpsc::channel(CLIENT_QUEUE);
                let gated = role.gated;
                let id = self.core.join(role);
                self.clients.insert(id, (gated, sender));
                if reply.send((id, receiver)).is_err() {
                    self.leave(id);
                }
            }
            Request::Text(id, text) => self.core.client_text(id, &text),
            Request::Leave(id) => self.leave(id),
            Request::SetMode(mode) => self.core.set_mode(mode),
            Request::Close(handoff, reply) => {
                if self.core.is_closed() && self.closing.is_empty() {
                    let _nobody_waits = reply.send(Vec::new());
                    return;
                }
                self.closing.push(reply);
                self.kept.extend(self.core.close(&handoff));
            }
            Request::Open(reply) => {
                if !self.core.is_closed() {
                    let _nobody_waits = reply.send(());
                    return;
                }
                self.opening.push(reply);
                self.settle_at = Some(Instant::now() + RETURN_TIMEOUT);
                self.core.open();
            }
        }
    }

    fn leave(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.core.leave(id);
    }

    async fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Browser(text) => self.send_to_browser(text),
                Output::Client(id, text) => self.send_to_client(id, text).await,
                Output::Disconnect(id) => _ = self.clients.remove(&id),
                Output::Closed => {
                    let kept = std::mem::take(&mut self.kept);
                    for reply in self.closing.drain(..) {
                        let _nobody_waits = reply.send(kept.clone());
                    }
                }
                Output::Opened => {
                    self.settle_at = None;
                    for reply in self.opening.drain(..) {
                        let _nobody_waits = reply.send(());
                    }
                }
            }
        }
    }

    fn send_to_browser(&mut self, text: String) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(text);
        }
        if let Err(mpsc::error::TrySendError::Full(text)) = self.browser.outgoing.try_send(text) {
            self.backlog.push_back(text);
        }
    }

    async fn send_to_client(&mut self, id: ClientId, text: String) {
        let Some((gated, sender)) = self.clients.get(&id) else {
            return;
        };
        let delivered = if *gated {
            sender.try_send(Ok(text)).is_ok()
        } else {
            // The host reads without ever waiting for us.
            sender.send(Ok(text)).await.is_ok()
        };
        if !delivered {
            tracing::warn!("a CDP client does not read its messages and is disconnected");
            self.leave(id);
        }
    }
}
