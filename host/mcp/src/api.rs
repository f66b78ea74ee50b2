//! The agent API, as the MCP server asks it (`docs/AGENT_API.md`).

use std::time::Duration;

use authloop_agent_api_types::client::{CreatedSession, NewSession, Session};
use authloop_net::tls_config;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

/// How long an answer may take beyond the wait that was asked for.
const ANSWER_MARGIN: Duration = Duration::from_secs(15);

/// Why the agent API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentApiError {
    /// Its address is not one.
    #[error("the agent API's address {0:?} is not an http:// or https:// URL")]
    BadUrl(String),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// It does not answer.
    #[error("the agent API at {0} does not answer; is `authloop-host serve` running?")]
    Unreachable(Url),
    /// It refused.
    #[error("{message} ({code})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error's stable name.
        code: String,
        /// One sentence.
        message: String,
    },
    /// What answers is something else.
    #[error("what answers at {0} is not the agent API")]
    NotAgentApi(Url),
}

impl AgentApiError {
    /// Whether the same request may succeed soon.
    pub fn transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::BadUrl(_) | Self::Tls(_) | Self::NotAgentApi(_) => false,
        }
    }
}

/// A client of one agent API.
#[derive(Clone)]
pub struct AgentApi {
    url: Url,
    http: reqwest::Client,
    key: Option<SecretString>,
}

impl std::fmt::Debug for AgentApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentApi").finish_non_exhaustive()
    }
}

impl AgentApi {
    /// For the API at `url`.
    ///
    /// # Errors
    /// [`AgentApiError::BadUrl`], [`AgentApiError::Tls`].
    pub fn new(url: &str, key: Option<SecretString>) -> Result<Self, AgentApiError> {
        let bad = || AgentApiError::BadUrl(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(bad());
        }
        let tls = tls_config(None).map_err(|error| AgentApiError::Tls(error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| AgentApiError::Tls(error.to_string()))?;
        Ok(Self {
            url: parsed,
            http,
            key,
        })
    }

    /// Asks for a handoff.
    ///
    /// # Errors
    /// [`AgentApiError`].
    pub async fn create(&self, session: &NewSession<'_>) -> Result<CreatedSession, AgentApiError> {
        let request = self.request(
            Method::POST,
            self.endpoint(&["session"]),
            Duration::from_secs(30),
        );
        self.send(request.json(session)).await
    }

    /// The session; at most after `wait` if nothing has changed since version `since`.
    ///
    /// # Errors
    /// [`AgentApiError`].
    pub async fn session(
        &self,
        id: &str,
        wait: Duration,
        since: Option<u64>,
    ) -> Result<Session, AgentApiError> {
        let mut url = self.endpoint(&["session", id]);
        url.query_pairs_mut()
            .append_pair("wait", &wait.as_secs().to_string());
        if let Some(version) = since {
            url.query_pairs_mut()
                .append_pair("since", &version.to_string());
        }
        self.send(self.request(Method::GET, url, wait)).await
    }

    /// Ends the session as cancelled.
    ///
    /// # Errors
    /// [`AgentApiError`].
    pub async fn cancel(&self, id: &str) -> Result<Session, AgentApiError> {
        self.send(self.request(
            Method::DELETE,
            self.endpoint(&["session", id]),
            Duration::ZERO,
        ))
        .await
    }

    /// What is to be said of an API that hangs.
    pub fn away(&self) -> AgentApiError {
        AgentApiError::Unreachable(self.url.clone())
    }

    /// Escapes each segment: an id comes from a model, and must not leave its place.
    fn endpoint(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url, wait: Duration) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url).timeout(wait + ANSWER_MARGIN);
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, AgentApiError> {
        let unreachable = |_| self.away();
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| AgentApiError::NotAgentApi(self.url.clone()));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error }) => Err(AgentApiError::Refused {
                status: status.as_u16(),
                code: error.code,
                message: error.message,
            }),
            Err(_) => Err(AgentApiError::NotAgentApi(self.url.clone())),
        }
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_in_its_path() {
        let api = AgentApi::new("http://127.0.0.1:7300/base", None).unwrap();

        for (id, wanted) in [
            ("hs_1", "/base/session/hs_1"),
            ("../sessions?a=b#c", "/base/session/..%2Fsessions%3Fa=b%23c"),
            ("..", "/base/session"),
        ] {
            let url = api.endpoint(&["session", id]);

            assert_eq!((url.path(), url.query()), (wanted, None));
        }
    }

    #[test]
    fn an_address_must_be_one() {
        for bad in ["", "7300", "ftp://host", "http://"] {
            assert!(
                matches!(AgentApi::new(bad, None), Err(AgentApiError::BadUrl(_))),
                "{bad}"
            );
        }
    }
}
