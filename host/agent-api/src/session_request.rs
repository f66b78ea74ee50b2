//! What a session is asked to be: parsed once, valid from then on.

use std::time::Duration;

use authloop_agent_api_types::{CreateSession, GateMode};
use authloop_done_when::DoneWhen;
use authloop_protocol::{
    id::from_b64u,
    origin::check_origin,
    plain_text::plain,
    signal::{SESSION_TTL, WallType},
};
use serde_json::Value;
use url::Url;

use super::{
    error::ApiError,
    room::{RoomChoice, RoomMembers, RoomPolicy},
    seal::Recipient,
    webhook::{WebhookPolicy, WebhookTarget},
};

const DEFAULT_TTL: Duration = Duration::from_secs(600);
const MAX_SERVICE_BYTES: usize = 100;
const MAX_REQUESTER_BYTES: usize = 120;
const MAX_REASON_BYTES: usize = 300;
const MAX_ORIGINS: usize = 16;
const MAX_URL_BYTES: usize = 2048;
const MAX_CONTEXT_BYTES: usize = 16 * 1024;

/// A session to be carried through.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// What the user is to sign in to.
    pub service: String,
    /// The browser's address, as the agent gave it.
    pub cdp_url: String,
    /// How long the session lives.
    pub ttl: Duration,
    /// Who asks.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// Where the user is expected to sign in; empty for anywhere.
    pub expected_origins: Vec<String>,
    /// What the browser must show.
    pub done_when: Option<DoneWhen>,
    /// Whether that alone ends the session.
    pub auto_finish: bool,
    /// Whether the storage state is wanted.
    pub storage_state: bool,
    /// Of which origins, if not of those expected or shown.
    pub storage_origins: Option<Vec<String>>,
    /// The gate's way with tools, if the agent chose one.
    pub gate: Option<GateMode>,
    /// What kind of wall it is.
    pub wall_type: Option<WallType>,
    /// In which room the user is to sign in.
    pub room: RoomChoice,
    pub(super) context: Option<Value>,
    pub(super) recipient: Option<Recipient>,
    pub(super) webhook_target: Option<WebhookTarget>,
}

impl SessionRequest {
    /// Parses a request. Nothing has been connected yet.
    pub(super) fn parse(
        body: &[u8],
        webhooks: &WebhookPolicy,
        rooms: RoomPolicy,
    ) -> Result<Self, ApiError> {
        let request: CreateSession = parse(body)?;
        Self::check(request, webhooks, rooms)
    }

    fn check(
        request: CreateSession,
        webhooks: &WebhookPolicy,
        rooms: RoomPolicy,
    ) -> Result<Self, ApiError> {
        let service = text("service", request.service, MAX_SERVICE_BYTES)?;
        let ttl = request.ttl.map_or(DEFAULT_TTL, Duration::from_secs);
        if !SESSION_TTL.contains(&ttl) {
            return Err(ApiError::invalid("ttl", "must be from 10 to 86400 seconds"));
        }
        let context = Context::parse(request.context)?;
        let requester = match request.requester {
            Some(requester) => text("requester", requester, MAX_REQUESTER_BYTES)?,
            None => "An AI agent".to_owned(),
        };
        let reason = match (request.reason, &context.hint) {
            (Some(reason), _) => text("reason", reason, MAX_REASON_BYTES)?,
            (None, Some(hint)) => fit(&format!("{service}: {hint}"), MAX_REASON_BYTES),
            (None, None) => fit(&format!("Please sign in to {service}."), MAX_REASON_BYTES),
        };
        let expected_origins = match request.expected_origins {
            Some(list) => origins("expected_origins", list)?,
            None => context.origin().into_iter().collect(),
        };
        if let Some(done_when) = &request.done_when {
            done_when
                .check()
                .map_err(|error| ApiError::invalid("done_when", error))?;
        } else if request.auto_finish {
            return Err(ApiError::invalid("auto_finish", "needs done_when"));
        }
        let (recipient, storage_origins) = match request.storage_state {
            None => (None, None),
            Some(storage) => (
                Some(recipient(&storage.recipient)?),
                storage
                    .origins
                    .map(|list| {
                        if list.is_empty() {
                            Err(ApiError::invalid("storage_state.origins", "is empty"))
                        } else {
                            origins("storage_state.origins", list)
                        }
                    })
                    .transpose()?,
            ),
        };
        let webhook_target = request
            .webhook
            .map(|webhook| WebhookTarget::parse(&webhook, webhooks))
            .transpose()?;
        let members = RoomMembers {
            room: request.room,
            start: request.start,
            grants: request.grants,
        };
        let room = rooms.choose(members, context.wall.as_deref(), context.url.as_ref())?;
        Ok(Self {
            service,
            cdp_url: cdp_url(request.cdp_url)?,
            ttl,
            requester,
            reason,
            expected_origins,
            done_when: request.done_when,
            auto_finish: request.auto_finish,
            storage_state: recipient.is_some(),
            storage_origins,
            gate: request.gate,
            wall_type: context.wall.as_deref().map(WallType::of),
            room,
            context: context.given,
            recipient,
            webhook_target,
        })
    }
}

/// What of the context the handoff uses; the rest is only kept.
#[derive(Default)]
struct Context {
    given: Option<Value>,
    /// If it is `http` or `https`.
    url: Option<Url>,
    hint: Option<String>,
    /// The agent's own word for the wall.
    wall: Option<String>,
}

impl Context {
    fn parse(given: Option<Value>) -> Result<Self, ApiError> {
        let Some(value) = given.filter(|value| !value.is_null()) else {
            return Ok(Self::default());
        };
        let Some(object) = value.as_object() else {
            return Err(ApiError::invalid("context", "must be an object"));
        };
        if value.to_string().len() > MAX_CONTEXT_BYTES {
            return Err(ApiError::invalid("context", "is larger than 16 KiB"));
        }
        let member = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(ApiError::invalid(
                format!("context.{name}"),
                "must be a string",
            )),
        };
        let url = member("url")?;
        let hint = member("hint")?.filter(|hint| !hint.trim().is_empty());
        let (wall_type, blocker_type) = (member("wall_type")?, member("blocker_type")?);
        // AuthLoop's clients may give anything as an address; what is none says nothing of origins.
        let url = url
            .and_then(|url| Url::parse(&url).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(Self {
            given: Some(value),
            url,
            hint,
            wall: wall_type.or(blocker_type),
        })
    }

    fn origin(&self) -> Option<String> {
        let url = self.url.as_ref()?;
        Some(url.origin().ascii_serialization())
    }
}

/// Parses one JSON value; an error names the member that it is about.
pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => "body".to_owned(),
            path => path,
        };
        // serde's position in the text says little to a program's author.
        let words = error.inner().to_string();
        let problem = words.split(" at line ").next().unwrap_or_default();
        ApiError::invalid(named(problem).unwrap_or(path), problem)
    })?;
    json.end()
        .map_err(|_| ApiError::invalid("body", "there is more than one JSON value"))?;
    Ok(value)
}

fn text(field: &str, value: String, max: usize) -> Result<String, ApiError> {
    if value.trim().is_empty() || value.len() > max {
        let problem = format!("must have from 1 to {max} bytes");
        return Err(ApiError::invalid(field, problem));
    }
    if value.chars().any(char::is_control) {
        return Err(ApiError::invalid(field, "must not have control characters"));
    }
    // Shown to the user, as the invitation's are: without what turns or covers the words around it.
    let shown = plain(&value);
    if shown.is_empty() {
        return Err(ApiError::invalid(field, "must have characters that show"));
    }
    Ok(shown)
}

/// Cuts to `max` bytes of UTF-8 and makes one line of it.
fn fit(value: &str, max: usize) -> String {
    let mut fitted = String::new();
    for c in value.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if fitted.len() + c.len_utf8() > max {
            break;
        }
        fitted.push(c);
    }
    fitted
}

fn origins(field: &str, list: Vec<String>) -> Result<Vec<String>, ApiError> {
    if list.len() > MAX_ORIGINS {
        let problem = format!("must hold at most {MAX_ORIGINS} origins");
        return Err(ApiError::invalid(field, problem));
    }
    for (i, origin) in list.iter().enumerate() {
        check_origin(origin).map_err(|error| ApiError::invalid(format!("{field}[{i}]"), error))?;
    }
    Ok(list)
}

fn cdp_url(given: String) -> Result<String, ApiError> {
    // The address may carry a token, so it is never echoed.
    let bad = |problem: &str| ApiError::invalid("cdp_url", problem);
    if given.len() > MAX_URL_BYTES {
        return Err(bad("is longer than 2048 bytes"));
    }
    let url = Url::parse(given.trim()).map_err(|_| bad("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") || url.host_str().is_none() {
        return Err(bad(
            "must be http(s)://host:port or ws(s)://host:port/devtools/…",
        ));
    }
    Ok(given)
}

fn recipient(text: &str) -> Result<Recipient, ApiError> {
    let field = "storage_state.recipient";
    let bytes = from_b64u(text.trim_end_matches('='))
        .ok_or_else(|| ApiError::invalid(field, "is not base64url"))?;
    Recipient::parse(&bytes).map_err(|error| ApiError::invalid(field, error))
}

/// The member that serde's message names, for a missing or an unknown one.
fn named(problem: &str) -> Option<String> {
    let missing = problem.strip_prefix("missing field `");
    let name = missing.or_else(|| problem.strip_prefix("unknown field `"))?;
    Some(name.split('`').next()?.to_owned())
}
