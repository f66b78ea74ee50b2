//! Logs go to standard error; standard output is for the link and for JSON.
//!
//! `AUTHLOOP_HOST_LOG` is a filter as tracing's `EnvFilter` reads it. The host's own lines come from the crates
//! `authloop_host`, `authloop_handoff`, `authloop_media` and so on; `authloop=debug` is all of them.

use tracing::Level;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The level at which libraries may speak: below it, the WebSocket library writes whole messages,
/// and with them what the user types.
const MAX_LIBRARY_LEVEL: Level = Level::INFO;

pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("AUTHLOOP_HOST_LOG").unwrap_or_else(|_| {
        // The library reports what every lost path brings as errors.
        EnvFilter::new("warn,webrtc=off,rtc=off,rtc_ice=off,rtc_sctp=off,rtc_dtls=off,rtc_srtp=off")
    });
    let subscriber = fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let cap = filter_fn(|metadata| is_shown(*metadata.level(), metadata.target()));
    subscriber.finish().with(cap).init();
}

/// Whatever the filter says, only authloop's own code goes below [`MAX_LIBRARY_LEVEL`].
fn is_shown(level: Level, target: &str) -> bool {
    let own = target.split("::").next().unwrap_or(target);
    level <= MAX_LIBRARY_LEVEL || own == "authloop" || own.starts_with("authloop_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_do_not_show_their_messages() {
        for target in ["tungstenite::protocol", "hyper", "log", "", "authloopy"] {
            assert!(!is_shown(Level::TRACE, target), "{target}");
            assert!(!is_shown(Level::DEBUG, target), "{target}");
            assert!(is_shown(Level::INFO, target), "{target}");
        }
        assert!(is_shown(Level::TRACE, "authloop_handoff"));
    }
}
