//! What an operator chose, validated before a port opens.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use authloop_host_metrics::Metrics;
use url::Url;

use super::{
    audit::AuditLog, config_error::ConfigError, keys::ApiKeys, room::RoomPolicy,
    webhook::WebhookPolicy,
};

/// How the agent API behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may use it.
    pub keys: ApiKeys,
    /// Names, besides `localhost` and addresses, under which it may be asked.
    pub allow_hosts: Vec<String>,
    /// What `stream_url` begins with; the listener's address if not given.
    pub public_url: Option<Url>,
    /// Sessions that may be open at once.
    pub max_sessions: usize,
    /// Requests a second and key; twice as many in one burst.
    pub rate: NonZeroU32,
    /// How long a sealed storage state waits to be read.
    pub keep: Duration,
    /// Where audit events go.
    pub audit: AuditLog,
    /// Where webhooks may go.
    pub webhooks: WebhookPolicy,
    /// In which rooms users may sign in.
    pub rooms: RoomPolicy,
    /// Where sessions are counted.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: ApiKeys::default(),
            allow_hosts: Vec::new(),
            public_url: None,
            max_sessions: 16,
            rate: NonZeroU32::MIN.saturating_add(19),
            keep: Duration::from_secs(600),
            audit: AuditLog::default(),
            webhooks: WebhookPolicy::default(),
            rooms: RoomPolicy::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Config {
    /// Checks what the types alone do not hold, for a service that listens at `listen`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self, listen: SocketAddr) -> Result<(), ConfigError> {
        if self.keys.is_open() && !listen.ip().is_loopback() {
            return Err(ConfigError::Open(listen));
        }
        let web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.query().is_none();
        if !self.public_url.as_ref().is_none_or(web) {
            return Err(ConfigError::PublicUrl);
        }
        if !(1..=1000).contains(&self.max_sessions) {
            return Err(ConfigError::Bounds("--max-sessions", 1, 1000));
        }
        if self.rate.get() > 10_000 {
            return Err(ConfigError::Bounds("--rate", 1, 10_000));
        }
        if !(1..=86_400).contains(&self.keep.as_secs()) {
            return Err(ConfigError::Bounds("--keep", 1, 86_400));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_loopback_is_listened_to() {
        let config = Config::default();

        assert!(config.check("127.0.0.1:7300".parse().unwrap()).is_ok());
        assert!(config.check("[::1]:7300".parse().unwrap()).is_ok());
        for open in ["0.0.0.0:7300", "192.168.1.2:7300", "[::]:7300"] {
            let error = config.check(open.parse().unwrap()).unwrap_err();
            assert!(matches!(error, ConfigError::Open(_)), "{open}");
        }
    }
}
