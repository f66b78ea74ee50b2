//! Logs go to standard error; standard output has the ready line only. Spans are for traces, if there
//! are any: log lines do not show them.

pub(crate) mod own;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::{Config, LogFormat},
    telemetry::TraceExporter,
};

/// Most verbose level at which libraries may log: below it, the WebSocket library writes whole messages,
/// tokens included, and HTTP libraries write headers.
const MAX_LIBRARY_LEVEL: Level = Level::INFO;

/// Starts logs, and traces if they are asked for.
pub(crate) fn start(config: &Config) -> anyhow::Result<Option<TraceExporter>> {
    let traces = config.otlp_endpoint.as_deref().map(TraceExporter::start);
    let traces = traces.transpose()?;
    let filter = EnvFilter::try_new(&config.log)?.and(filter_fn(is_logged));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    Registry::default()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(TraceExporter::layer))
        .try_init()?;
    Ok(traces)
}

/// Whether a line may be logged, whatever the operator's filter says: only authloop's own code goes
/// below [`MAX_LIBRARY_LEVEL`].
fn is_logged(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && (*metadata.level() <= MAX_LIBRARY_LEVEL || own::is_own(metadata))
}
