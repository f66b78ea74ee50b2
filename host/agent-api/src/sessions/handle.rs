//! One session as requests see it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use authloop_agent_api_types::{SealedState, SessionView};
use authloop_protocol::id::to_b64u;
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    error::ApiError,
    keys::Owner,
    seal::Recipient,
    session::{Event, Session},
    session_end::{RunError, SessionEnd},
    session_request::SessionRequest,
    webhook::WebhookTarget,
};

pub(crate) struct Handle {
    pub(crate) owner: Owner,
    pub(crate) id: String,
    pub(super) stream_token: Zeroizing<String>,
    pub(super) created: Instant,
    pub(super) cancel: CancellationToken,
    pub(super) finish: CancellationToken,
    pub(super) webhook_target: Option<WebhookTarget>,
    session: watch::Sender<Session>,
    recipient: Option<Recipient>,
    state: Mutex<State>,
    ended_at: OnceLock<Instant>,
}

/// The storage state on its way to the agent.
enum State {
    NotThere,
    Sealed { state: SealedState, until: Instant },
    Gone,
}

impl Handle {
    pub(super) fn new(
        owner: Owner,
        request: &SessionRequest,
        session: Session,
        cancel: CancellationToken,
        finish: CancellationToken,
    ) -> Self {
        let token = Zeroizing::new(rand::random::<[u8; 32]>());
        Self {
            owner,
            id: session.view().session_id.clone(),
            session: watch::Sender::new(session),
            stream_token: Zeroizing::new(format!("st_{}", to_b64u(token.as_slice()))),
            created: Instant::now(),
            cancel,
            finish,
            webhook_target: request.webhook_target.clone(),
            recipient: request.recipient.clone(),
            state: Mutex::new(State::NotThere),
            ended_at: OnceLock::new(),
        }
    }

    pub(crate) fn view(&self) -> SessionView {
        self.session.borrow().view().clone()
    }

    /// The session and its changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Session> {
        self.session.subscribe()
    }

    pub(crate) fn is_streamed_by(&self, token: &str) -> bool {
        self.stream_token.as_bytes().ct_eq(token.as_bytes()).into()
    }

    pub(super) fn first(&self) -> Option<Arc<Event>> {
        self.session.borrow().events_after(0).next().cloned()
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Session) -> Option<Arc<Event>>,
    ) -> Option<Arc<Event>> {
        let mut event = None;
        self.session.send_if_modified(|session| {
            event = change(session);
            event.is_some()
        });
        event
    }

    /// Takes the end, if it is the first. The state is there before anyone sees that it is over.
    pub(super) fn end(
        &self,
        end: Result<SessionEnd, RunError>,
        keep: Duration,
    ) -> Option<Arc<Event>> {
        let sealed = self.seal(&end);
        self.change(|session| {
            let event = session.end(&end)?;
            let now = Instant::now();
            let _ = self.ended_at.set(now);
            if let Some(state) = sealed {
                let until = now + keep;
                *self.state.lock() = State::Sealed { state, until };
            }
            Some(event)
        })
    }

    fn seal(&self, end: &Result<SessionEnd, RunError>) -> Option<SealedState> {
        let (
            Some(recipient),
            Ok(SessionEnd::Resolved {
                storage_state: Some(state),
                ..
            }),
        ) = (&self.recipient, end)
        else {
            return None;
        };
        let sealed = recipient.seal(&self.id, state);
        sealed
            .inspect_err(|_| tracing::warn!("a storage state could not be sealed"))
            .ok()
    }

    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.ended_at.get().copied()
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        let mut session = self.watch();
        // The sender lives in `self`.
        let _ = session.wait_for(|s| s.view().status.is_terminal()).await;
    }

    /// Waits for a version after `since`, or for the end.
    pub(crate) async fn next(&self, since: Option<u64>, wait: Duration) -> SessionView {
        let mut session = self.watch();
        let known = since.unwrap_or_else(|| session.borrow().view().version);
        let news = session.wait_for(|session| {
            let view = session.view();
            view.status.is_terminal() || view.version > known
        });
        let _late = timeout(wait, news).await.is_err();
        self.view()
    }

    /// Gives the sealed state away, once.
    pub(crate) fn take_state(&self) -> Result<SealedState, ApiError> {
        if self.recipient.is_none() {
            return Err(ApiError::NoState);
        }
        if self.view().status != authloop_agent_api_types::Status::Resolved {
            return Err(ApiError::NotResolved);
        }
        self.forget_state(Instant::now());
        let mut state = self.state.lock();
        match &*state {
            // Whoever comes second finds it gone, however close behind.
            State::Sealed { .. } => match std::mem::replace(&mut *state, State::Gone) {
                State::Sealed { state, .. } => Ok(state),
                State::NotThere | State::Gone => Err(ApiError::AlreadyRead),
            },
            State::NotThere => Err(ApiError::StateLost),
            State::Gone => Err(ApiError::AlreadyRead),
        }
    }

    /// Drops a state that nobody has fetched in time.
    pub(super) fn forget_state(&self, now: Instant) {
        let mut state = self.state.lock();
        if matches!(&*state, State::Sealed { until, .. } if now >= *until) {
            *state = State::Gone;
        }
    }
}
