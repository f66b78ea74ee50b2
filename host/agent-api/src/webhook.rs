//! Tells the agent of a session's course (Standard Webhooks 1.0).

mod deliver;
mod guard;

use std::{sync::Arc, time::Duration};

use authloop_agent_api_types::{WebhookRequest, stamp};
use authloop_host_metrics::Metrics;
use secrecy::ExposeSecret as _;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{config_error::ConfigError, error::ApiError, session::Event};

/// Deliveries that may be under way or waiting for their next attempt.
const MAX_DELIVERIES: usize = 1024;
const MAX_URL_BYTES: usize = 2048;
/// The specification's bounds on a symmetric key, in bytes.
const SIGNING_KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Where webhooks may go, and how often it is tried.
#[derive(Clone, Debug, Default)]
pub struct WebhookPolicy {
    /// Hosts that may be private and spoken to by plain HTTP.
    pub allow: Vec<String>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
}

/// When a failed delivery is tried again: each pause is four times the last, give or take a fifth.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first pause.
    pub first: Duration,
    /// All attempts, the first included.
    pub attempts: u32,
}

impl Default for RetryPolicy {
    /// After 1, 4, 16, 64 and 256 seconds.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            attempts: 6,
        }
    }
}

impl WebhookPolicy {
    fn allows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.allow.iter().any(|a| a.eq_ignore_ascii_case(host))
    }
}

/// Where messages go, and the key that signs them.
#[derive(Clone)]
pub(super) struct WebhookTarget {
    url: Url,
    signer: Arc<standardwebhooks::Webhook>,
    /// The operator vouches for this host.
    allowed: bool,
}

impl WebhookTarget {
    pub(super) fn parse(
        request: &WebhookRequest,
        policy: &WebhookPolicy,
    ) -> Result<Self, ApiError> {
        let bad = |problem: &str| ApiError::invalid("webhook.url", problem);
        if request.url.len() > MAX_URL_BYTES {
            return Err(bad("is longer than 2048 bytes"));
        }
        let url = Url::parse(&request.url).map_err(|_| bad("is not a URL"))?;
        let allowed = policy.allows(&url);
        let scheme = url.scheme();
        if !(scheme == "https" || scheme == "http" && allowed) || url.host_str().is_none() {
            return Err(bad("must be https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("must not hold a user name or a password"));
        }
        if !allowed && guard::literal(&url).is_some_and(|address| !guard::is_public(address)) {
            return Err(bad("must not be a private address"));
        }
        Ok(Self {
            url,
            signer: Arc::new(signer(request)?),
            allowed,
        })
    }
}

fn signer(request: &WebhookRequest) -> Result<standardwebhooks::Webhook, ApiError> {
    let bad = || {
        ApiError::invalid(
            "webhook.secret",
            "must be whsec_ and the base64 of 24 to 64 bytes",
        )
    };
    let secret = request.secret.expose_secret();
    let key = secret.strip_prefix("whsec_").ok_or_else(bad)?;
    // Four characters for three bytes; the library decodes them.
    let bytes = key.trim_end_matches('=').len() * 3 / 4;
    if !SIGNING_KEY_BYTES.contains(&bytes) {
        return Err(bad());
    }
    standardwebhooks::Webhook::new(secret).map_err(|_| bad())
}

/// The host only: the path may hold a token.
impl std::fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookTarget({:?})", self.url.host_str())
    }
}

/// Delivers, each message by a task of its own.
pub(super) struct Webhooks {
    retry: RetryPolicy,
    metrics: Metrics,
    tls: rustls::ClientConfig,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Webhooks {
    pub(super) fn new(
        policy: &WebhookPolicy,
        metrics: Metrics,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            retry: policy.retry,
            metrics,
            tls: authloop_net::tls_config(None).map_err(|e| ConfigError::Tls(e.to_string()))?,
            slots: Arc::new(Semaphore::new(MAX_DELIVERIES)),
            tasks,
            stop,
        })
    }

    /// Queues a message. When too many wait, it is dropped and logged.
    pub(super) fn send(&self, target: &WebhookTarget, event: &Event) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::warn!("too many webhooks are waiting; one is dropped");
            self.metrics.count_webhook("dropped");
            return;
        };
        let now = OffsetDateTime::now_utc();
        let body = json!({
            "type": event.kind.name(),
            "timestamp": stamp(now),
            "data": event.view,
        });
        let delivery = deliver::Delivery {
            target: target.clone(),
            // The same for each attempt, so that a receiver can tell repeats.
            id: format!(
                "msg_{}",
                authloop_protocol::id::to_b64u(&rand::random::<[u8; 16]>())
            ),
            body: body.to_string(),
            retry: self.retry,
            tls: self.tls.clone(),
        };
        let (stop, metrics) = (self.stop.clone(), self.metrics.clone());
        self.tasks.spawn(async move {
            let delivered = delivery.run(stop).await;
            metrics.count_webhook(if delivered { "delivered" } else { "given_up" });
            drop(slot);
        });
    }
}
