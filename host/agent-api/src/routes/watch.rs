//! `GET /session/{id}/events`: server-sent events that end with the session.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use authloop_agent_api_types::StreamedEvent;
use authloop_bearer::bearer_token;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures_util::Stream;
use tokio::sync::watch;

use crate::{
    app::App,
    error::{ApiError, ErrorBody},
    session::{Event, Session},
};

/// Proxies close connections that say nothing.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Streams a session's events until it ends
///
/// Takes the API key or the session's `stream_token`.
#[utoipa::path(
    get,
    path = "/session/{id}/events",
    operation_id = "watchSession",
    security(("key" = [])),
    params(
        ("id" = String, Path, description = "The session"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last version seen"),
    ),
    responses(
        (status = 200, description = "Each event's data is a `SessionView`", body = StreamedEvent, content_type = "text/event-stream"),
        (status = 204, description = "Nothing more comes after `Last-Event-ID`"),
        (status = 401, description = "Neither key nor token", body = ErrorBody),
        (status = 403, description = "Another machine's name, or a web page", body = ErrorBody),
        (status = 404, description = "No such session", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let presented = bearer_token(&headers);
    let owner = app.keys.owner(presented);
    let handle = match (owner, app.sessions.find(&id)) {
        (_, Ok(handle)) if presented.is_some_and(|t| handle.is_streamed_by(t)) => {
            app.rates.check(handle.owner)?;
            handle
        }
        (Some(owner), _) => {
            app.rates.check(owner)?;
            app.sessions.get(owner, &id)?
        }
        (None, _) => return Err(ApiError::Unauthorized),
    };
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let view = handle.view();
    if view.status.is_terminal() && last.is_some_and(|last: u64| last >= view.version) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // A version from elsewhere must not make the stream wait for it.
    let stream = follow(handle.watch(), last.unwrap_or(0).min(view.version));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// Each event after `last`, the terminal one being the last.
fn follow(
    session: watch::Receiver<Session>,
    last: u64,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let start = (session, VecDeque::<Arc<Event>>::new(), last, false);
    futures_util::stream::unfold(start, async |(mut session, mut queue, last, over)| {
        let mut over = over;
        while queue.is_empty() {
            if over {
                return None;
            }
            let more = session
                .wait_for(|session| session.view().version > last)
                .await
                .ok()?;
            queue.extend(more.events_after(last).cloned());
            over = more.view().status.is_terminal();
        }
        let event = queue.pop_front()?;
        let version = event.view.version;
        Some((Ok(encode(&event)), (session, queue, version, over)))
    })
}

fn encode(event: &Event) -> sse::Event {
    // A view's members are strings, numbers and the agent's own JSON.
    let data = serde_json::to_string(&event.view).unwrap_or_default();
    sse::Event::default()
        .id(event.view.version.to_string())
        .event(event.kind.name())
        .data(data)
}
