//! Logs go to standard error; standard output has the ready line only.

use tracing::{Level, Metadata};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _};

use crate::config::{Config, LogFormat};

/// The level at which libraries may speak: below it, the WebSocket library writes whole messages,
/// tokens included, and HTTP libraries write headers.
const LIBRARIES: Level = Level::INFO;

pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)?;
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let cap = filter_fn(may_speak);
    let started = match config.log_format {
        LogFormat::Text => subscriber.with_ansi(false).finish().with(cap).try_init(),
        LogFormat::Json => subscriber.json().finish().with(cap).try_init(),
    };
    Ok(started?)
}

/// Whatever the operator's filter says, only authloop's own code goes below [`LIBRARIES`].
fn may_speak(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let own = target.split("::").next().unwrap_or(target);
    *metadata.level() <= LIBRARIES || own == "authloop" || own.starts_with("authloop_")
}
