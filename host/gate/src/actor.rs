//! The task between one browser and its clients: it carries out what [`Core`] decides.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    time::Duration,
};

use authloop_cdp::Transport;
use authloop_gate_core::{ClientId, ClientRole, ClosedMode, Core, Output, PreservedSetting};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::GateError;

/// Most requests that may wait for the task.
const MAX_QUEUED_REQUESTS: usize = 256;
/// Most messages that may wait for one client; an agent that lets more pile up is disconnected.
const MAX_CLIENT_MESSAGES: usize = 4096;
/// How long clients' pages may take to come back at the opening.
const RESUME_TIMEOUT: Duration = Duration::from_secs(10);

type IncomingMessage = Result<String, String>;

enum GateRequest {
    Join(
        ClientRole,
        oneshot::Sender<(ClientId, mpsc::Receiver<IncomingMessage>)>,
    ),
    Text(ClientId, String),
    Leave(ClientId),
    SetMode(ClosedMode),
    Close(String, oneshot::Sender<Vec<PreservedSetting>>),
    Open(oneshot::Sender<()>),
}

/// A handle on the task; cheap to clone. The task ends with the browser, or with the last handle.
#[derive(Clone)]
pub(super) struct GateHandle(mpsc::Sender<GateRequest>);

/// One client's connection to the gate; leaves when dropped.
pub(super) struct ClientConnection {
    id: ClientId,
    handle: GateHandle,
    pub(super) incoming: mpsc::Receiver<IncomingMessage>,
}

/// The half of a connection that sends.
#[derive(Clone)]
pub(super) struct ClientSender {
    id: ClientId,
    requests: mpsc::Sender<GateRequest>,
}

impl GateHandle {
    /// `files_folder` is where agents may have the browser read and write files.
    pub(super) fn start(browser: Transport, mode: ClosedMode, files_folder: &Path) -> Self {
        let (requests, queue) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let core = Core::new(mode);
        let core = match files_folder.to_str() {
            Some(path) => core.with_files_folder(path),
            None => core,
        };
        tokio::spawn(Actor::new(browser, core).run(queue));
        Self(requests)
    }

    pub(super) async fn join(&self, role: ClientRole) -> Result<ClientConnection, GateError> {
        let (reply, answer) = oneshot::channel();
        self.request(GateRequest::Join(role, reply)).await?;
        let (id, incoming) = answer.await.map_err(|_| GateError::BrowserGone)?;
        Ok(ClientConnection {
            id,
            handle: self.clone(),
            incoming,
        })
    }

    /// Opens the host's own way to the browser, which no closing stops.
    pub(super) async fn ungated_transport(&self) -> Result<Transport, GateError> {
        let mut connection = self
            .join(ClientRole {
                gated: false,
                page: None,
            })
            .await?;
        let (outgoing, mut queue) = mpsc::channel::<String>(MAX_QUEUED_REQUESTS);
        let (forwarded, incoming) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let sender = connection.sender();
        // Two tasks: neither direction may wait for the other.
        let mut outgoing_task = tokio::spawn(async move {
            while let Some(text) = queue.recv().await {
                if !sender.send(text).await {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = connection.incoming.recv() => message,
                    _ = &mut outgoing_task => return,
                };
                match message {
                    Some(message) => {
                        if forwarded.send(message).await.is_err() {
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
        self.request(GateRequest::SetMode(mode)).await
    }

    /// Returns once no agent has a session, with the settings to keep in force.
    pub(super) async fn close(&self, handoff: &str) -> Result<Vec<PreservedSetting>, GateError> {
        let (reply, answer) = oneshot::channel();
        self.request(GateRequest::Close(handoff.to_owned(), reply))
            .await?;
        answer.await.map_err(|_| GateError::BrowserGone)
    }

    /// Returns once every agent goes on.
    pub(super) async fn open(&self) -> Result<(), GateError> {
        let (reply, answer) = oneshot::channel();
        self.request(GateRequest::Open(reply)).await?;
        answer.await.map_err(|_| GateError::BrowserGone)
    }

    /// Waits until the browser is gone.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    async fn request(&self, request: GateRequest) -> Result<(), GateError> {
        self.0
            .send(request)
            .await
            .map_err(|_| GateError::BrowserGone)
    }
}

impl ClientConnection {
    pub(super) fn sender(&self) -> ClientSender {
        ClientSender {
            id: self.id,
            requests: self.handle.0.clone(),
        }
    }
}

impl ClientSender {
    /// Whether the browser is still there.
    pub(super) async fn send(&self, text: String) -> bool {
        self.requests
            .send(GateRequest::Text(self.id, text))
            .await
            .is_ok()
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        let (requests, id) = (self.handle.0.clone(), self.id);
        if let Err(mpsc::error::TrySendError::Full(request)) =
            requests.try_send(GateRequest::Leave(id))
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
    clients: HashMap<ClientId, (bool, mpsc::Sender<IncomingMessage>)>,
    /// Texts that the browser's queue had no room for; until they are sent, no client is heard.
    backlog: VecDeque<String>,
    preserved: Vec<PreservedSetting>,
    closing: Vec<oneshot::Sender<Vec<PreservedSetting>>>,
    opening: Vec<oneshot::Sender<()>>,
    finish_opening_at: Option<Instant>,
}

impl Actor {
    fn new(browser: Transport, core: Core) -> Self {
        Self {
            core,
            browser,
            clients: HashMap::new(),
            backlog: VecDeque::new(),
            preserved: Vec::new(),
            closing: Vec::new(),
            opening: Vec::new(),
            finish_opening_at: None,
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<GateRequest>) {
        let outgoing = self.browser.outgoing.clone();
        loop {
            let finish_opening_at = self.finish_opening_at;
            let opening_overdue = async {
                match finish_opening_at {
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
                    Some(request) => self.on_request(request),
                    None => break,
                },
                () = opening_overdue => {
                    self.finish_opening_at = None;
                    self.core.finish_opening();
                }
            }
            self.drain().await;
        }
        // Dropping the queues tells every client.
    }

    fn on_request(&mut self, request: GateRequest) {
        match request {
            GateRequest::Join(role, reply) => {
                let (sender, receiver) = mpsc::channel(MAX_CLIENT_MESSAGES);
                let gated = role.gated;
                let id = self.core.join(role);
                self.clients.insert(id, (gated, sender));
                if reply.send((id, receiver)).is_err() {
                    self.leave(id);
                }
            }
            GateRequest::Text(id, text) => self.core.client_text(id, &text),
            GateRequest::Leave(id) => self.leave(id),
            GateRequest::SetMode(mode) => self.core.set_mode(mode),
            GateRequest::Close(handoff, reply) => {
                if self.core.is_closed() && self.closing.is_empty() {
                    let _nobody_waits = reply.send(Vec::new());
                    return;
                }
                self.closing.push(reply);
                self.preserved.extend(self.core.close(&handoff));
            }
            GateRequest::Open(reply) => {
                if !self.core.is_closed() {
                    let _nobody_waits = reply.send(());
                    return;
                }
                self.opening.push(reply);
                self.finish_opening_at = Some(Instant::now() + RESUME_TIMEOUT);
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
                    let preserved = std::mem::take(&mut self.preserved);
                    for reply in self.closing.drain(..) {
                        let _nobody_waits = reply.send(preserved.clone());
                    }
                }
                Output::Opened => {
                    self.finish_opening_at = None;
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
