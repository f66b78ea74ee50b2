//! How the user gets the link: by the client, where it can open a URL (MCP elicitation, mode "url").
//!
//! Up to 2025-11-25 the server asks the client while the tool's call goes on; since 2026-07-28 the call
//! itself is answered with what is asked, and made again with the user's answer.

use std::time::Duration;

use authloop_agent_api_types::client::CreatedSession;
use rmcp::{
    model::{
        CallToolResponse, CustomNotification, ElicitRequest, ElicitRequestParams, ElicitResult,
        ElicitationAction, InputRequest, InputRequests, InputRequiredResult, InputResponses,
        ProtocolVersion, RequestStateCodec, ServerNotification,
    },
    service::{Peer, RequestContext, RoleServer},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

use super::{api::AgentApi, error::ToolError};

const INPUT_REQUEST_KEY: &str = "login";
/// MCP 2025-11-25, client features, "Elicitation": the client may close what it opened.
const COMPLETE_NOTIFICATION: &str = "notifications/elicitation/complete";
/// One poll for a session's end.
const POLL_DURATION: Duration = Duration::from_secs(30);
/// Between two tries while the agent API is away.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Whether the link reaches the user by the client.
pub(crate) enum LinkDelivery {
    /// The client shows it, unless this says that it failed.
    ByClient(oneshot::Receiver<LinkNotShown>),
    /// The client shows it once it has this answer, and calls again.
    ByAnswer(CallToolResponse),
    /// The client cannot.
    Unsupported,
}

/// The client could not show the link after all.
pub(crate) struct LinkNotShown;

/// What the client's second call brings.
pub(crate) struct ElicitationAnswer {
    /// Which session.
    pub session_id: String,
    /// Where the agent goes on.
    pub cdp_url: String,
    /// Whether the user agreed to open the link.
    pub accepted: bool,
}

#[derive(Serialize, Deserialize)]
struct RoundState {
    session_id: String,
    cdp_url: String,
}

/// Asks clients, and recognises its own questions.
#[derive(Clone)]
pub(crate) struct Elicitor {
    states: RequestStateCodec,
}

impl Elicitor {
    /// With a key of its own: a state outlives no restart, as little as the call it belongs to.
    pub(crate) fn new() -> Self {
        Self {
            states: RequestStateCodec::new_unchecked(rand::random::<[u8; 32]>()),
        }
    }

    /// Has the client show the link, if it can.
    pub(crate) fn ask(
        &self,
        api: &AgentApi,
        context: &RequestContext<RoleServer>,
        created: &CreatedSession,
        message: &str,
    ) -> LinkDelivery {
        let can = context
            .client_capabilities()
            .and_then(|can| can.elicitation)
            .is_some_and(|elicitation| elicitation.url.is_some());
        if !can {
            return LinkDelivery::Unsupported;
        }
        let rounds = context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let params = ElicitRequestParams::UrlElicitationParams {
            meta: None,
            message: message.to_owned(),
            url: created.session_url.expose_secret().to_owned(),
            // 2026-07-28 has no such id.
            elicitation_id: if rounds {
                String::new()
            } else {
                created.session_id.clone()
            },
        };
        if !rounds {
            let (failed, failure) = oneshot::channel();
            let id = created.session_id.clone();
            tokio::spawn(ask_beside_the_call(
                api.clone(),
                context.peer.clone(),
                params,
                id,
                failed,
            ));
            return LinkDelivery::ByClient(failure);
        }
        let state = RoundState {
            session_id: created.session_id.clone(),
            cdp_url: created.cdp_url.clone(),
        };
        match self.states.seal_json(&state) {
            Ok(state) => {
                let request = InputRequest::Elicitation(ElicitRequest::new(params));
                let requests = InputRequests::from([(INPUT_REQUEST_KEY.to_owned(), request)]);
                LinkDelivery::ByAnswer(InputRequiredResult::new(Some(requests), Some(state)).into())
            }
            Err(_) => LinkDelivery::Unsupported,
        }
    }

    /// Reads what the client's second call brings.
    ///
    /// # Errors
    /// [`ToolError::State`] when it is no answer to a question of ours.
    pub(crate) fn resume(
        &self,
        state: &str,
        answers: Option<&InputResponses>,
    ) -> Result<ElicitationAnswer, ToolError> {
        let state: RoundState = self.states.open_json(state).map_err(|_| ToolError::State)?;
        let answer = answers
            .and_then(|answers| answers.get(INPUT_REQUEST_KEY))
            .ok_or(ToolError::State)?;
        let result = ElicitResult::deserialize(answer).map_err(|_| ToolError::State)?;
        Ok(ElicitationAnswer {
            session_id: state.session_id,
            cdp_url: state.cdp_url,
            accepted: result.action == ElicitationAction::Accept,
        })
    }
}

/// Asks beside the call, which may be answered before the user is; ends with the session at the latest.
async fn ask_beside_the_call(
    api: AgentApi,
    peer: Peer<RoleServer>,
    params: ElicitRequestParams,
    id: String,
    failed: oneshot::Sender<LinkNotShown>,
) {
    match peer.create_elicitation(params).await {
        Ok(answer) if answer.action == ElicitationAction::Accept => {}
        Ok(_) => {
            // The call sees the end itself; this may be after an end.
            if let Err(error) = api.cancel(&id).await {
                tracing::debug!(%error, "a declined handoff was not cancelled");
            }
            return;
        }
        Err(error) => {
            tracing::debug!(%error, "the client did not show the link");
            // Nobody listens if the call is over.
            let _gone = failed.send(LinkNotShown);
            return;
        }
    }
    let mut known = None;
    loop {
        match api.session(&id, POLL_DURATION, known).await {
            Ok(session) if session.status.is_terminal() => break,
            Ok(session) => known = Some(session.version),
            Err(error) if error.transient() => tokio::time::sleep(RETRY_INTERVAL).await,
            Err(_) => return,
        }
    }
    let done = CustomNotification::new(COMPLETE_NOTIFICATION, Some(json!({ "elicitationId": id })));
    let done = ServerNotification::CustomNotification(done);
    if let Err(error) = peer.send_notification(done).await {
        tracing::debug!(%error, "the client was not told that the link is used");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(elicitor: &Elicitor) -> String {
        let state = RoundState {
            session_id: "hs_1".to_owned(),
            cdp_url: "http://127.0.0.1:9222".to_owned(),
        };
        elicitor.states.seal_json(&state).unwrap()
    }

    fn answers(action: &str) -> InputResponses {
        [(INPUT_REQUEST_KEY.to_owned(), json!({ "action": action }))].into()
    }

    #[test]
    fn a_second_round_knows_its_session_and_the_answer() {
        let elicitor = Elicitor::new();
        let state = sealed(&elicitor);

        for (action, accepted) in [("accept", true), ("decline", false), ("cancel", false)] {
            let answer = elicitor.resume(&state, Some(&answers(action))).unwrap();

            assert_eq!(answer.session_id, "hs_1");
            assert_eq!(answer.cdp_url, "http://127.0.0.1:9222");
            assert_eq!(answer.accepted, accepted);
        }
    }

    #[test]
    fn a_state_of_somebody_else_is_refused() {
        let elicitor = Elicitor::new();
        let state = sealed(&elicitor);
        let accept = answers("accept");

        for (state, answers) in [
            (sealed(&Elicitor::new()), Some(&accept)),
            (format!("{state}A"), Some(&accept)),
            (String::new(), Some(&accept)),
            (state, None),
        ] {
            let answer = elicitor.resume(&state, answers);
            assert!(matches!(answer, Err(ToolError::State)));
        }
    }
}
