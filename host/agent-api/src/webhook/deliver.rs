//! One message, attempt by attempt.

use std::{net::SocketAddr, time::Duration};

use reqwest::redirect::Policy;
use time::OffsetDateTime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Host;

use super::{RetryPolicy, WebhookTarget, guard};

/// One attempt, from the name's resolution to the answer's head.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const HTTP_GONE: u16 = 410;

pub(super) struct Delivery {
    pub(super) target: WebhookTarget,
    pub(super) id: String,
    pub(super) body: String,
    pub(super) retry: RetryPolicy,
    pub(super) tls: rustls::ClientConfig,
}

/// Why an attempt failed. Names no path: it may hold a token.
#[derive(Debug, thiserror::Error)]
enum DeliveryFailure {
    #[error("{0}")]
    Refused(#[from] guard::RefusedHost),
    #[error("no connection")]
    Http(#[source] reqwest::Error),
    #[error("the message could not be signed")]
    Sign,
    #[error("the receiver answered {0}")]
    Status(u16),
    #[error("no answer in time")]
    Timeout,
}

impl DeliveryFailure {
    /// Whether a later attempt cannot go better.
    fn is_final(&self) -> bool {
        matches!(self, Self::Status(HTTP_GONE) | Self::Sign)
    }
}

impl Delivery {
    /// Tries until it is delivered, given up, or stopped; whether it was delivered.
    pub(super) async fn run(self, stop: CancellationToken) -> bool {
        let mut pause = self.retry.first;
        for attempt in 1..=self.retry.attempts {
            let tried = tokio::time::timeout(ATTEMPT_TIMEOUT, self.attempt()).await;
            let failure = match tried.unwrap_or(Err(DeliveryFailure::Timeout)) {
                Ok(()) => return true,
                Err(failure) => failure,
            };
            let host = self.target.url.host_str().unwrap_or_default();
            tracing::debug!(host, attempt, %failure, "a webhook was not delivered");
            if failure.is_final() || attempt == self.retry.attempts {
                tracing::warn!(attempt, %failure, "a webhook is given up");
                return false;
            }
            let jitter = 0.8 + 0.4 * rand::random::<f64>();
            tokio::select! {
                () = sleep(pause.mul_f64(jitter)) => {}
                () = stop.cancelled() => return false,
            }
            pause *= 4;
        }
        false
    }

    async fn attempt(&self) -> Result<(), DeliveryFailure> {
        let url = &self.target.url;
        // Resolved anew for each attempt, and the connection goes nowhere but to what was checked.
        let addresses = guard::resolve(url, self.target.allowed).await?;
        let client = self.client(&addresses)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let signature = self
            .target
            .signer
            .sign(&self.id, now, self.body.as_bytes())
            .map_err(|_| DeliveryFailure::Sign)?;
        let answer = client
            .post(url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signature)
            .body(self.body.clone())
            .send()
            .await
            .map_err(|error| DeliveryFailure::Http(error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(DeliveryFailure::Status(status.as_u16())),
        }
    }

    fn client(&self, addresses: &[SocketAddr]) -> Result<reqwest::Client, DeliveryFailure> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .timeout(ATTEMPT_TIMEOUT)
            .redirect(Policy::none())
            // A proxy would connect where it likes.
            .no_proxy()
            .user_agent(concat!("authloop-host/", env!("CARGO_PKG_VERSION")));
        if let Some(Host::Domain(name)) = self.target.url.host() {
            client = client.resolve_to_addrs(name, addresses);
        }
        client.build().map_err(DeliveryFailure::Http)
    }
}
