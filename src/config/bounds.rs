//! Times that are no options, but that tests shorten.

use std::time::Duration;

/// How patient the server is.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Between two looks at the certificate's files.
    pub certificate_looks: Duration,
    /// After a first order for a certificate that failed; each further failure waits longer.
    pub acme_backoff: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            certificate_looks: Duration::from_secs(5),
            acme_backoff: Duration::from_secs(120),
        }
    }
}
