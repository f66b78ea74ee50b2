//! Why a peer connection fails.

use super::sdp::SdpError;

/// Why the peer connection cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The `webrtc` crate failed.
    #[error("WebRTC: {0}")]
    WebRtc(#[from] webrtc::error::Error),
    /// The certificate could not be made.
    #[error("the DTLS certificate could not be made: {0}")]
    Certificate(String),
    /// A description that must not be used.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// The viewer takes none of the codecs.
    #[error("the viewer can decode neither H.264 nor VP8")]
    NoCodec,
    /// No local address leads to the relay.
    #[error("no local address leads to the relay: {0}")]
    Unroutable(std::io::Error),
    /// DTLS has not presented a certificate.
    #[error("the viewer presented no certificate")]
    NoCertificate,
}
