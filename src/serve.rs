//! `authloop serve`: a server with its logs, its ready line and the signals that end it.

use std::{future::Future, io::Write as _, sync::Arc};

use tokio::sync::Notify;

use crate::{
    config::Config,
    descriptors, logging,
    server::{Ready, Server},
    shutdown::{self, StopSignals},
};

/// Serves until a signal asks for the end.
///
/// # Errors
/// When a port cannot be bound, or TLS, the relay, the audit log or Redis does not work.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let traces = logging::start(&config)?;
    let reload_certificate = Arc::new(Notify::new());
    // Also where there is nothing to read again: a closing terminal or logrotate's habit ends no handoff.
    shutdown::notify_on_hangup(reload_certificate.clone())?;
    let stop = StopSignals::catch()?;
    let served = serve_until(config, reload_certificate, stop.received()).await;
    if let Some(traces) = traces {
        traces.shut_down().await;
    }
    served
}

async fn serve_until(
    config: Config,
    reload_certificate: Arc<Notify>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let json = config.json;
    let few_files = descriptors::raise(&config);
    let mut server = Server::bind(config, reload_certificate).await?;
    print_ready(server.ready(), json)?;
    if let Some(limit) = few_files {
        tracing::warn!(
            limit,
            "fewer files may be open than connections: raise LimitNOFILE or ulimit -n, or lower max_connections"
        );
    }
    server.run(stop).await?;
    server.shut_down().await
}

/// Prints one line on standard output; tests and scripts wait for it.
fn print_ready(ready: &Ready, json: bool) -> std::io::Result<()> {
    let relay: Vec<String> = ready.relay.iter().map(ToString::to_string).collect();
    let line = if json {
        let line = serde_json::json!({
            "event": "listening",
            "url": ready.origin.as_str(),
            "listen": ready.listen,
            "admin": ready.admin,
            "relay": relay.first(),
            "relay_candidates": relay,
            "streams": { "tcp": ready.streams.tcp, "turn": ready.streams.turn },
        });
        line.to_string()
    } else {
        let relay = relay.join(", ");
        format!("authloop listens at {}, relay at {relay}", ready.origin)
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
