//! From pictures to video: decode, convert, encode, on a thread of its own.
//!
//! [`VideoPipeline::start`] is the whole way from a page to [`EncodedFrame`]s; the parts are public
//! for benchmarks and tests.

mod blocks;
mod counters;
mod h264;
mod mailbox;
mod picture;
mod pipeline;
mod quantizer_control;
mod resolution_control;
mod scale;
mod scene;
mod send_budget;
#[cfg(test)]
mod tests;
#[cfg(feature = "vp8")]
mod vp8;
mod worker;

use std::time::{Duration, Instant};

use authloop_protocol::quantity::Bitrate;
use bytes::Bytes;

pub use h264::H264Encoder;
pub use picture::{Picture, PictureDecoder};
pub use pipeline::{PipelineStats, VideoConfig, VideoPipeline};
pub use quantizer_control::Purpose;
#[cfg(feature = "vp8")]
pub use vp8::Vp8Encoder;

/// Why a picture could not become video.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The JPEG is damaged, or of a kind browsers do not make.
    #[error("unreadable picture: {0}")]
    Picture(String),
    /// The video encoder failed.
    #[error("the encoder failed: {0}")]
    Encoder(String),
}

/// A video coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// H.264, constrained baseline.
    #[default]
    H264,
    /// VP8, for viewers that cannot decode H.264.
    Vp8,
}

/// One coded picture.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// H.264: an access unit in Annex B form, parameter sets before each keyframe. VP8: a frame.
    pub data: Bytes,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// When the page was drawn, on the browser's monotonic clock; rises with every frame.
    pub capture_time: Duration,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// When the picture reached the host, if no frame before showed it.
    pub received: Option<Instant>,
}

/// Sizes only: the picture may show anything.
impl std::fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedFrame")
            .field("bytes", &self.data.len())
            .field("keyframe", &self.keyframe)
            .field("capture_time", &self.capture_time)
            .field("width", &self.width)
            .field("height", &self.height)
            .finish()
    }
}

/// An encoder for live video without reordering: one picture in, one frame out.
pub trait VideoEncoder: Send {
    /// Encodes a picture; the first one, one of another size, and one for
    /// [`Purpose::Keyframe`] become keyframes. `at` must rise. Returns `None` if the encoder made no
    /// frame.
    fn encode(
        &mut self,
        picture: &Picture,
        purpose: Purpose,
        at: Duration,
    ) -> Result<Option<EncodedFrame>, EncodeError>;

    /// Sets the bitrate, from the next picture on.
    fn set_bitrate(&mut self, bitrate: Bitrate);
}

/// Makes an encoder for `codec`.
pub fn encoder(codec: Codec, bitrate: Bitrate) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    match codec {
        Codec::H264 => Ok(Box::new(H264Encoder::new(bitrate)?)),
        #[cfg(feature = "vp8")]
        Codec::Vp8 => Ok(Box::new(Vp8Encoder::new(bitrate)?)),
        #[cfg(not(feature = "vp8"))]
        Codec::Vp8 => Err(EncodeError::Encoder("built without VP8".to_owned())),
    }
}
