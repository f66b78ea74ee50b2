//! Logs go to standard error; standard output has the ready line only. Spans are for traces, if there
//! are any: log lines do not show them.

use tracing::{Level, Metadata};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
};

use crate::{
    config::{Config, LogFormat},
    telemetry::Traces,
};

/// The level at which libraries may speak: below it, the WebSocket library writes whole messages,
/// tokens included, and HTTP libraries write headers.
const LIBRARIES: Level = Level::INFO;

/// Starts logs, and traces if they are asked for.
pub(crate) fn start(config: &Config) -> anyhow::Result<Option<Traces>> {
    let traces = config.otlp_endpoint.as_deref().map(Traces::start);
    let traces = traces.transpose()?;
    let filter = EnvFilter::try_new(&config.log)?.and(filter_fn(may_speak));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    Registry::default()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(Traces::layer))
        .try_init()?;
    Ok(traces)
}

/// Whatever the operator's filter says, only authloop's own code goes below [`LIBRARIES`].
fn may_speak(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && (*metadata.level() <= LIBRARIES || is_own(metadata))
}

/// Whether authloop's own code says it, not a library.
pub(crate) fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let own = target.split("::").next().unwrap_or(target);
    own == "authloop" || own.starts_with("authloop_")
}
