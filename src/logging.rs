//! Logs go to standard error; standard output has the ready line only.

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)?;
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    started.map_err(anyhow::Error::from_boxed)
}
