//! The protocols that a stream on the HTTP port may speak beside HTTP.

/// A stream's protocol, where it is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamProtocol {
    /// RFC 8656 over TCP or TLS.
    Turn,
    /// RFC 6544 with RFC 4571's framing.
    IceTcp,
}

impl StreamProtocol {
    /// Its name in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::IceTcp => "ice_tcp",
        }
    }
}
