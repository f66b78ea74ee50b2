//! The two tools, and how a call of them goes on while the user signs in.

use std::{sync::Arc, time::Duration};

use authloop_agent_api_types::client::{Context, NewSession, Session};
use rmcp::{
    ServerHandler,
    handler::server::tool::{schema_for_output, schema_for_type},
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
        Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
        Tool, ToolAnnotations,
    },
    service::{RequestContext, RoleServer},
};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    api::{AgentApi, AgentApiError},
    elicit::{Elicitor, LinkDelivery, LinkNotShown},
    error::ToolError,
    progress::Progress,
    report::Report,
    request::{GetStatus, RequestLogin},
};

/// How long one poll lasts, so that there is progress to tell.
const POLL_DURATION: Duration = Duration::from_secs(10);
/// How long the last answer may take beyond a call's patience.
const ANSWER_MARGIN: Duration = Duration::from_secs(4);
/// Between two tries while the agent API is away.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

const REQUEST_TOOL: &str = "request_human_login";
const STATUS_TOOL: &str = "get_handoff_status";

const INSTRUCTIONS: &str = "When a page in your browser wants a password, a code, a CAPTCHA or another proof \
    that only the user can give, call request_human_login: the user gets a link, signs in from a device of their \
    own, and you go on signed in. They sign in in a private browser that you cannot see, and yours then gets the \
    session, or else in your very browser (room \"in_place\"). Never ask the user for a password or a code. Leave \
    the page that wants the sign-in alone while the handoff is waiting, and poll get_handoff_status until it is \
    finished.";

/// What does not change from call to call.
#[derive(Debug)]
pub struct CallDefaults {
    /// The browser, when a call does not say.
    pub cdp_url: Option<String>,
    /// Who asks; shown to the user.
    pub requester: String,
    /// How long a link lives, in seconds; the API's own time if not given.
    pub ttl: Option<u64>,
    /// A call answers after this time at the latest, give or take what the API needs for one answer.
    pub patience: Duration,
}

/// The MCP server's handler; a clone is the same one.
#[derive(Clone)]
pub struct HandoffTools {
    api: AgentApi,
    defaults: Arc<CallDefaults>,
    elicitor: Elicitor,
    tools: Arc<[Tool]>,
}

impl std::fmt::Debug for HandoffTools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandoffTools").finish_non_exhaustive()
    }
}

impl HandoffTools {
    /// A handler that asks `api`.
    pub fn new(api: AgentApi, defaults: CallDefaults) -> Self {
        Self {
            api,
            defaults: Arc::new(defaults),
            elicitor: Elicitor::new(),
            tools: tools().into(),
        }
    }

    async fn request_login(
        &self,
        call: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ToolError> {
        // A client of 2026-07-28 comes back with the user's answer to the first round.
        if let Some(state) = &call.request_state {
            let answer = self.elicitor.resume(state, call.input_responses.as_ref())?;
            if !answer.accepted {
                self.give_up(&answer.session_id).await;
            }
            let session = self.follow_call(&answer.session_id, context).await?;
            return Ok(success(&Report::of(&session).going_on_at(answer.cdp_url)));
        }
        let wanted: RequestLogin = arguments(call)?;
        let cdp_url = wanted
            .cdp_url
            .as_deref()
            .or(self.defaults.cdp_url.as_deref())
            .ok_or(ToolError::NoBrowser)?;
        let created = self
            .api
            .create(&NewSession {
                service: &wanted.service,
                cdp_url,
                ttl: self.defaults.ttl,
                context: Context {
                    url: wanted.url.as_deref(),
                    wall_type: wanted.wall_type.as_deref(),
                },
                requester: &self.defaults.requester,
                reason: &wanted.reason,
                expected_origins: wanted.expected_origins.as_deref(),
                done_when: wanted.done_when.as_ref(),
                room: wanted.room,
                start: wanted.start,
                grants: wanted.grants.as_deref(),
            })
            .await?;
        let link = created.session_url.expose_secret();
        let message = format!("Sign in to {}: {}", wanted.service, wanted.reason);
        let failure = match self.elicitor.ask(&self.api, context, &created, &message) {
            LinkDelivery::ByAnswer(response) => return Ok(response),
            LinkDelivery::ByClient(failure) => Some(failure),
            LinkDelivery::Unsupported => None,
        };
        let id = &created.session_id;
        if let Some(failure) = failure {
            tokio::select! {
                session = self.follow_call(id, context) => {
                    let report = Report::of(&session?);
                    return Ok(success(&report.going_on_at(created.cdp_url)));
                }
                Ok(LinkNotShown) = failure => {}
            }
        }
        // Only this answer can bring the link to the user, so it must not wait.
        let session = self.api.session(id, Duration::ZERO, None).await?;
        let report = Report::of(&session).going_on_at(created.cdp_url);
        Ok(success(&report.with_link(link)))
    }

    async fn status(
        &self,
        call: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ToolError> {
        let wanted: GetStatus = arguments(call)?;
        tokio::select! {
            session = self.follow(&wanted.session_id, context) => Ok(success(&Report::of(&session?))),
            () = context.ct.cancelled() => Err(ToolError::Cancelled),
        }
    }

    /// As [`HandoffTools::follow`], for the call that the handoff belongs to: a client that cancels it would not
    /// learn of the end, so that is one.
    async fn follow_call(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Session, ToolError> {
        tokio::select! {
            session = self.follow(id, context) => Ok(session?),
            () = context.ct.cancelled() => {
                self.give_up(id).await;
                Err(ToolError::Cancelled)
            }
        }
    }

    /// Follows a session until it ends or patience does, telling its progress.
    async fn follow(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Session, AgentApiError> {
        let until = Instant::now() + self.defaults.patience;
        let mut progress = Progress::of(context);
        let mut known = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = POLL_DURATION.min(Duration::from_secs(left.as_secs()));
            let asking = self.api.session(id, wait, known);
            // Many clients give a call up after a minute, also when it is the API that hangs.
            let answer = timeout_at(until + ANSWER_MARGIN, asking).await;
            match answer.unwrap_or_else(|_| Err(self.api.away())) {
                Ok(session) if session.status.is_terminal() || wait.is_zero() => {
                    return Ok(session);
                }
                Ok(session) => {
                    known = Some(session.version);
                    progress.tell(&session).await;
                }
                Err(error) if error.transient() && left > RETRY_INTERVAL => {
                    tokio::time::sleep(RETRY_INTERVAL).await
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a session that nobody will open.
    async fn give_up(&self, id: &str) {
        if let Err(error) = self.api.cancel(id).await {
            tracing::debug!(%error, "a handoff was not cancelled");
        }
    }
}

impl ServerHandler for HandoffTools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(
                "authloop-host",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let done = async {
            match call.name.as_ref() {
                REQUEST_TOOL => self.request_login(call, &context).await,
                STATUS_TOOL => self.status(call, &context).await,
                _ => Err(ToolError::NoTool),
            }
        };
        match done.await {
            Ok(response) => Ok(response),
            Err(ToolError::NoTool) => Err(ErrorData::invalid_params("there is no such tool", None)),
            Err(failure) => {
                Ok(CallToolResult::error(vec![ContentBlock::text(failure.to_string())]).into())
            }
        }
    }
}

fn arguments<T: DeserializeOwned>(call: CallToolRequestParams) -> Result<T, ToolError> {
    serde_json::from_value(Value::Object(call.arguments.unwrap_or_default()))
        .map_err(|error| ToolError::Arguments(error.to_string()))
}

fn success(report: &Report) -> CallToolResponse {
    // Strings, lists of strings and booleans only, so that serialising cannot fail.
    let value = serde_json::to_value(report).unwrap_or_default();
    CallToolResult::structured(value).into()
}

fn tools() -> Vec<Tool> {
    let request = Tool::new(
        REQUEST_TOOL,
        "Ask the user to sign in, from a device of their own, so that the browser that you drive is signed in. Answers within a minute, with state \"waiting\" if the user is not done by then: call get_handoff_status.",
        schema_for_type::<RequestLogin>(),
    )
    .with_annotations(
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .idempotent(false)
            .open_world(true),
    );
    let status = Tool::new(
        STATUS_TOOL,
        "Where a handoff stands. Waits for its end, less than a minute; call it again while the state is \"waiting\".",
        schema_for_type::<GetStatus>(),
    )
    .with_annotations(ToolAnnotations::new().read_only(true).open_world(true));
    [request, status]
        .map(|tool| tool.with_raw_output_schema(schema_for_output::<Report>()))
        .into()
}
