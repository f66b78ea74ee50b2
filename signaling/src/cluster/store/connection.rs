//! The connection to Redis, which is replaced when it falls silent or leads to a server that takes no writes.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{
    Client, ErrorKind, RedisError, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};
use tokio::{sync::watch, time::timeout};

/// A Redis that takes longer is as good as gone: callers answer their clients.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// Clones share it.
#[derive(Clone)]
pub(super) struct RedisConnection {
    client: Client,
    current: Arc<Mutex<ConnectionManager>>,
    /// Counts replacements.
    replaced: watch::Sender<u64>,
}

impl RedisConnection {
    pub(super) async fn open(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let current = connect(&client).await?;
        Ok(Self {
            client,
            current: Arc::new(Mutex::new(current)),
            replaced: watch::Sender::new(0),
        })
    }

    /// For one command.
    pub(super) fn get(&self) -> ConnectionManager {
        self.current.lock().clone()
    }

    /// Makes a new connection if this error is one that the connection would go on to give, and looks the
    /// server's name up anew for it.
    pub(super) async fn replace_after(&self, error: &RedisError) {
        if !is_lasting(error) {
            return;
        }
        match connect(&self.client).await {
            Ok(fresh) => {
                *self.current.lock() = fresh;
                self.replaced.send_modify(|count| *count += 1);
                tracing::info!(reason = %error, "the connection to Redis was made anew");
            }
            Err(error) => tracing::debug!(%error, "no new connection to Redis"),
        }
    }

    /// Tells of replacements.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// A connection of its own, subscribed to these channels.
    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<PubSub, RedisError> {
        let connect = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            for channel in channels {
                subscription.subscribe(channel).await?;
            }
            Ok(subscription)
        };
        match timeout(REDIS_TIMEOUT * 2, connect).await {
            Ok(subscription) => subscription,
            Err(_) => Err(too_long()),
        }
    }
}

async fn connect(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(REDIS_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT))
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(500))
        .set_number_of_retries(2);
    let connect = async {
        let mut connection = client.get_connection_manager_with_config(config).await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(connection)
    };
    match timeout(REDIS_TIMEOUT * 2, connect).await {
        Ok(connection) => connection,
        Err(_) => Err(too_long()),
    }
}

/// A dropped connection is made again by the library. One that is silent is not, because nobody said that it
/// has ended; nor is one to a server that is not, or not yet, the one that takes writes.
fn is_lasting(error: &RedisError) -> bool {
    error.is_timeout()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
            )
        )
}

fn too_long() -> RedisError {
    (ErrorKind::Io, "Redis takes too long").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_would_be_given_again_end_a_connection() {
        let server = |kind| RedisError::from((ErrorKind::Server(kind), "as Redis says"));
        let silent = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        for lasting in [
            silent,
            server(ServerErrorKind::ReadOnly),
            server(ServerErrorKind::BusyLoading),
            server(ServerErrorKind::MasterDown),
        ] {
            assert!(is_lasting(&lasting), "{lasting}");
        }
        let dropped = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        for passing in [dropped, server(ServerErrorKind::ResponseError)] {
            assert!(!is_lasting(&passing), "{passing}");
        }
    }
}
