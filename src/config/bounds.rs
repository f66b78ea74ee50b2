//! Times that are no options, but that tests shorten.

use std::time::Duration;

/// How patient the server is.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Between two looks at the certificate's files.
    pub certificate_looks: Duration,
    /// After a first order for a certificate that failed; each further failure waits longer.
    pub acme_backoff: Duration,
    /// From a connection to the first byte of what it speaks, through TLS.
    pub greeting: Duration,
    /// From there to the first request.
    pub first_request: Duration,
    /// For a request's headers in HTTP/1, and between two requests.
    pub headers: Duration,
    /// For a request to be read and answered.
    pub request: Duration,
    /// For a client to read something of what waits for it.
    pub unread: Duration,
    /// Between two pings on a connection in HTTP/2.
    pub ping: Duration,
    /// For their answer.
    pub pong: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            certificate_looks: Duration::from_secs(5),
            acme_backoff: Duration::from_secs(120),
            greeting: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            request: Duration::from_secs(10),
            unread: Duration::from_secs(30),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
        }
    }
}
