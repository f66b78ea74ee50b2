//! All sessions: who owns them, who carries them through, how long they are kept.

mod handle;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use authloop_agent_api_types::{Notice, RoomKind, RoomView, SessionCreated, SessionView, Status};
use authloop_host_metrics::Metrics;
use authloop_protocol::id::to_b64u;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::Config,
    error::ApiError,
    keys::Owner,
    runner::Runner,
    session::Session,
    session_end::{RunError, SessionEnd},
    session_event::SessionEvent,
    session_request::SessionRequest,
    webhook::Webhooks,
};

pub(super) use handle::Handle;

/// How long a link may take to be made before the agent is told that there is none.
const LINK_TIMEOUT: Duration = Duration::from_secs(25);
/// How long the agent's own word may take to end a session properly.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an ended session is kept.
const ENDED_RETENTION: Duration = Duration::from_secs(60 * 60);
/// How many ended sessions are kept at once.
const MAX_ENDED_SESSIONS: usize = 1000;
/// How often old sessions and sealed states are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

pub(super) struct Sessions {
    table: Mutex<HashMap<String, Arc<Handle>>>,
    slots: Arc<Semaphore>,
    runner: Arc<dyn Runner>,
    webhooks: Arc<Webhooks>,
    metrics: Metrics,
    /// How long a sealed state waits to be read.
    keep: Duration,
    /// What `stream_url` begins with.
    base: String,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

type CreationResult = Result<SessionCreated, ApiError>;

impl Sessions {
    pub(super) fn new(
        runner: Arc<dyn Runner>,
        webhooks: Arc<Webhooks>,
        config: &Config,
        base: String,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let sessions = Arc::new(Self {
            table: Mutex::default(),
            slots: Arc::new(Semaphore::new(config.max_sessions)),
            runner,
            webhooks,
            metrics: config.metrics.clone(),
            keep: config.keep,
            base,
            tasks,
            stop,
        });
        sessions.tasks.spawn(Arc::clone(&sessions).sweep());
        sessions
    }

    /// Starts a session and waits for its link. If the caller stops waiting, it is withdrawn.
    pub(super) async fn create(
        self: &Arc<Self>,
        owner: Owner,
        request: SessionRequest,
    ) -> CreationResult {
        self.runner
            .check_room(&request)
            .map_err(|refusal| ApiError::invalid("grants", refusal))?;
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| ApiError::Sessions)?;
        let (started, starting) = oneshot::channel();
        let cancel = self.stop.child_token();
        let abandon = cancel.clone().drop_guard();
        let carry = Arc::clone(self).carry(owner, request, slot, cancel, started);
        self.tasks.spawn(carry);
        match timeout(LINK_TIMEOUT, starting).await {
            Ok(Ok(Ok(created))) => {
                abandon.disarm();
                Ok(created)
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(ApiError::Internal("the session did not start".to_owned())),
            Err(_) => Err(ApiError::Signaling(
                "no link could be made in time".to_owned(),
            )),
        }
    }

    async fn carry(
        self: Arc<Self>,
        owner: Owner,
        request: SessionRequest,
        _slot: OwnedSemaphorePermit,
        cancel: CancellationToken,
        started: oneshot::Sender<CreationResult>,
    ) {
        let _open = self.metrics.open_session();
        let finish = CancellationToken::new();
        let handle: Arc<OnceLock<Arc<Handle>>> = Arc::default();
        // Both the first report and an early failure answer the request.
        let started = Arc::new(Mutex::new(Some(started)));
        let report = {
            let (sessions, handle, started) =
                (Arc::clone(&self), Arc::clone(&handle), Arc::clone(&started));
            let (request, cancel, finish) = (request.clone(), cancel.clone(), finish.clone());
            // A runner that says nothing of a room promises none.
            let mut room = RoomView::IN_PLACE;
            Box::new(move |event| match event {
                SessionEvent::Room(told) => match handle.get() {
                    Some(handle) => {
                        sessions.tell(handle, handle.change(|session| session.change_room(told)));
                    }
                    None => room = told,
                },
                SessionEvent::Link(url) => {
                    let new = handle.get_or_init(|| {
                        let session = new_session(&request, room.clone());
                        let (cancel, finish) = (cancel.clone(), finish.clone());
                        Arc::new(Handle::new(owner, &request, session, cancel, finish))
                    });
                    let created = sessions.admit(new, &request, url);
                    if let Some(started) = started.lock().take() {
                        // Nobody waits any more: the drop guard has cancelled it.
                        let _ = started.send(Ok(created));
                    }
                }
                SessionEvent::State(state) => {
                    if let Some(handle) = handle.get() {
                        sessions.tell(handle, handle.change(|session| session.enter(state)));
                    }
                }
                SessionEvent::HandedOver => {
                    tracing::info!("a session's user went on on another device");
                }
                SessionEvent::PasskeyRequired => {
                    if let Some(handle) = handle.get() {
                        let event =
                            handle.change(|session| session.notice(Notice::PasskeyRequired));
                        sessions.tell(handle, event);
                    }
                }
                SessionEvent::SecondClaim => {
                    tracing::info!("another device tried a session's link, without effect");
                }
            })
        };
        let running = self.runner.run(request, cancel, finish, report);
        // A session must end whatever happens: an agent may be waiting for that without a limit.
        let end = AssertUnwindSafe(running).catch_unwind().await;
        let end = end.unwrap_or_else(|_| Err(RunError::Internal("the handoff failed".to_owned())));
        match handle.get() {
            Some(handle) => self.end(handle, end),
            None => {
                self.metrics.count_end("not_started");
                if let Some(started) = started.lock().take() {
                    let _ = started.send(Err(not_started(end)));
                }
            }
        }
    }

    /// A session comes into being with its link.
    fn admit(&self, handle: &Arc<Handle>, request: &SessionRequest, url: String) -> SessionCreated {
        {
            let mut table = self.table.lock();
            forget(&mut table);
            table.insert(handle.id.clone(), Arc::clone(handle));
        }
        let first = handle.first();
        self.tell(handle, first);
        let view = handle.view();
        SessionCreated {
            session_id: handle.id.clone(),
            session_url: url,
            stream_token: handle.stream_token.as_str().to_owned(),
            stream_url: format!("{}/session/{}/events", self.base, handle.id),
            expires_at: view.expires_at,
            cdp_url: self.runner.agent_cdp_url(request),
            room: view.room,
        }
    }

    fn end(&self, handle: &Arc<Handle>, end: Result<SessionEnd, RunError>) {
        if let Err(error) = &end {
            // The text may hold the browser's address.
            tracing::debug!(session = handle.id, %error, "why a session broke");
            tracing::warn!(session = handle.id, at = error.at(), "a session broke");
        }
        let event = handle.end(end, self.keep);
        self.tell(handle, event);
    }

    fn tell(&self, handle: &Handle, event: Option<Arc<super::session::Event>>) {
        // Whoever ends a session first has this event, so that each is counted once.
        if let Some(outcome) = event.as_ref().and_then(|event| event.kind.outcome()) {
            self.metrics.count_end(outcome);
        }
        let told = event.filter(|event| event.kind.is_told());
        if let (Some(event), Some(webhook_target)) = (told, &handle.webhook_target) {
            self.webhooks.send(webhook_target, &event);
        }
    }

    /// This owner's session.
    pub(super) fn get(&self, owner: Owner, id: &str) -> Result<Arc<Handle>, ApiError> {
        let found = self.find(id)?;
        // Another key's session must look like none at all.
        (found.owner == owner)
            .then_some(found)
            .ok_or(ApiError::NoSession)
    }

    /// Anyone's session, for those who prove their right in another way.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Handle>, ApiError> {
        let found = self.table.lock().get(id).cloned();
        found.ok_or(ApiError::NoSession)
    }

    /// This owner's sessions, newest first.
    pub(super) fn list(&self, owner: Owner) -> Vec<SessionView> {
        let mut handles: Vec<_> = self
            .table
            .lock()
            .values()
            .filter(|handle| handle.owner == owner)
            .cloned()
            .collect();
        handles.sort_by_key(|handle| std::cmp::Reverse(handle.created));
        handles.iter().map(|handle| handle.view()).collect()
    }

    /// Withdraws a session.
    ///
    /// A private room is gone before the agent hears of it, and what it hears is what became of the session:
    /// one that had begun to move has moved.
    pub(super) async fn cancel(&self, handle: &Arc<Handle>) -> Result<SessionView, ApiError> {
        let view = handle.view();
        if view.room.room == RoomKind::Private && !view.status.is_terminal() {
            handle.cancel.cancel();
            if timeout(RESOLVE_TIMEOUT, handle.ended()).await.is_ok() {
                let view = handle.view();
                return match view.status {
                    Status::Cancelled => Ok(view),
                    _ => Err(ended(&view)),
                };
            }
        }
        let event = handle.end(Ok(SessionEnd::Cancelled), self.keep);
        handle.cancel.cancel();
        let Some(event) = event else {
            return Err(ended(&handle.view()));
        };
        let view = event.view.clone();
        self.tell(handle, Some(event));
        Ok(view)
    }

    /// Ends a session as done, by the agent's word.
    pub(super) async fn resolve(&self, handle: &Arc<Handle>) -> Result<SessionView, ApiError> {
        if handle.view().status.is_terminal() {
            return Err(ended(&handle.view()));
        }
        // The runner collects what is to be kept, then ends it.
        handle.finish.cancel();
        if timeout(RESOLVE_TIMEOUT, handle.ended()).await.is_err() {
            let end = SessionEnd::Resolved {
                cookies: 0,
                storage_state: None,
                conclusion: authloop_done_when::Conclusion::Agent,
            };
            let event = handle.end(Ok(end), self.keep);
            handle.cancel.cancel();
            self.tell(handle, event);
        }
        let view = handle.view();
        match view.status {
            Status::Resolved => Ok(view),
            _ => Err(ended(&view)),
        }
    }

    async fn sweep(self: Arc<Self>) {
        let mut ticks = interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let mut table = self.table.lock();
                    forget(&mut table);
                    for handle in table.values() {
                        handle.forget_state(Instant::now());
                    }
                }
                () = self.stop.cancelled() => return,
            }
        }
    }
}

/// Why nothing can be done with a session that has ended.
pub(super) fn ended(view: &SessionView) -> ApiError {
    match view.status {
        Status::Timeout => ApiError::Expired,
        Status::Resolved => ApiError::Ended("RESOLVED"),
        Status::Cancelled => ApiError::Ended("CANCELLED"),
        Status::Error | Status::Pending | Status::Active => ApiError::Ended("ERROR"),
    }
}

fn not_started(end: Result<SessionEnd, RunError>) -> ApiError {
    match end {
        Err(RunError::Browser(text)) => ApiError::Browser(text),
        Err(RunError::Signaling(text)) => ApiError::Signaling(text),
        Err(RunError::Room(text)) => ApiError::Room(text),
        Err(RunError::Grants(text)) => ApiError::invalid("grants", text),
        Err(RunError::Order(text)) => ApiError::invalid("body", text),
        Err(RunError::Internal(text)) => ApiError::Internal(text),
        Ok(_) => ApiError::Internal("the session ended before it began".to_owned()),
    }
}

/// Drops ended sessions that are too old, or too many.
fn forget(table: &mut HashMap<String, Arc<Handle>>) {
    let now = Instant::now();
    let too_old = |at: Instant| now.duration_since(at) > ENDED_RETENTION;
    table.retain(|_, handle| !handle.ended_at().is_some_and(too_old));
    let mut ended: Vec<_> = table
        .values()
        .filter_map(|handle| Some((handle.ended_at()?, handle.id.clone())))
        .collect();
    if let Some(surplus) = ended.len().checked_sub(MAX_ENDED_SESSIONS) {
        ended.sort_unstable();
        for (_, id) in &ended[..surplus] {
            table.remove(id);
        }
    }
}

fn new_session(request: &SessionRequest, room: RoomView) -> Session {
    Session::new(
        format!("hs_{}", to_b64u(&rand::random::<[u8; 16]>())),
        request.service.clone(),
        request.context.clone(),
        room,
        OffsetDateTime::now_utc(),
        request.ttl,
    )
}
