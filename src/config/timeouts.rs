//! Timeouts that are not configurable, except by tests.

use std::time::Duration;

/// How long the server waits, and how often it looks.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Interval at which the certificate's files are read.
    pub certificate_poll_interval: Duration,
    /// Wait after a first order for a certificate that failed; each further failure waits longer.
    pub acme_backoff: Duration,
    /// From a connection to its first byte above TCP, through TLS.
    pub greeting: Duration,
    /// From there to the first request.
    pub first_request: Duration,
    /// For a request's headers in HTTP/1, and between two requests in either HTTP.
    pub headers: Duration,
    /// For a request to be read and answered.
    pub request: Duration,
    /// For a client to read some of a response; for all of it ten times as long.
    pub write_stall: Duration,
    /// Between two pings on a connection in HTTP/2.
    pub http2_ping_interval: Duration,
    /// For a client to answer a ping in HTTP/2.
    pub http2_pong: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            certificate_poll_interval: Duration::from_secs(5),
            acme_backoff: Duration::from_secs(120),
            greeting: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            request: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            http2_ping_interval: Duration::from_secs(30),
            http2_pong: Duration::from_secs(10),
        }
    }
}
