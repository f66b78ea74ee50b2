//! H.264 by OpenH264, set up for text on a screen.

use std::time::Duration;

use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    QpRange, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use openh264_sys2::{
    ENCODER_OPTION_BITRATE, ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo, SPATIAL_LAYER_ALL,
    WELS_LOG_QUIET,
};

use super::{EncodeError, EncodedFrame, Picture, VideoEncoder};

/// Above this, small text is no longer legible; a burst is better late than unreadable.
const MAX_QP: u8 = 36;
/// Below this, bits buy nothing the JPEG had.
const MIN_QP: u8 = 12;
const FRAME_RATE: f32 = 30.0;
const MIN_BITRATE: u32 = 50_000;

/// A constrained-baseline encoder: no reordering, keyframes only when asked.
pub struct H264Encoder {
    encoder: Encoder,
    bitrate: u32,
    /// Size of the pictures so far; none before the first.
    size: Option<(usize, usize)>,
}

impl H264Encoder {
    /// An encoder that aims at `bitrate` bits a second.
    pub fn new(bitrate: u32) -> Result<Self, EncodeError> {
        let bitrate = bitrate.max(MIN_BITRATE);
        let config = EncoderConfig::new()
            .usage_type(UsageType::ScreenContentRealTime)
            .profile(Profile::Baseline)
            .bitrate(BitRate::from_bps(bitrate))
            .rate_control_mode(RateControlMode::Bitrate)
            .max_frame_rate(FrameRate::from_hz(FRAME_RATE))
            .qp(QpRange::new(MIN_QP, MAX_QP))
            .complexity(Complexity::Low)
            .skip_frames(false)
            .scene_change_detect(true)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::auto())
            .num_threads(1)
            .vui(VuiConfig::bt601());
        let encoder =
            Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
        let mut encoder = Self {
            encoder,
            bitrate,
            size: None,
        };
        encoder.silence();
        Ok(encoder)
    }

    /// OpenH264 writes advice to stderr while it starts; the crate silences it only afterwards.
    #[expect(unsafe_code, reason = "OpenH264 options are set through a pointer")]
    fn silence(&mut self) {
        let mut level = WELS_LOG_QUIET;
        // SAFETY: this option may be set before initialisation, and reads one int.
        unsafe {
            self.encoder
                .raw_api()
                .set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast());
        }
    }

    /// The safe API takes a bitrate only with a new encoder, which would cost a keyframe.
    #[expect(unsafe_code, reason = "OpenH264 options are set through a pointer")]
    fn apply_bitrate(&mut self) {
        let mut info = SBitrateInfo {
            iLayer: SPATIAL_LAYER_ALL,
            iBitrate: i32::try_from(self.bitrate).unwrap_or(i32::MAX),
        };
        // SAFETY: the encoder is initialised once a picture was encoded, which the callers check,
        // and ENCODER_OPTION_BITRATE reads one SBitrateInfo.
        let refused = unsafe {
            self.encoder
                .raw_api()
                .set_option(ENCODER_OPTION_BITRATE, (&raw mut info).cast())
        };
        if refused != 0 {
            tracing::debug!(refused, "the encoder kept its bitrate");
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        keyframe: bool,
        at: Duration,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let (width, height) = (picture.width(), picture.height());
        let resized = self.size != Some((width, height));
        if keyframe && !resized {
            self.encoder.force_intra_frame();
        }
        let source = YUVSlices::new(
            (picture.y(), picture.u(), picture.v()),
            (width, height),
            (width, width / 2, width / 2),
        );
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX / 2);
        let coded = self
            .encoder
            .encode_at(&source, Timestamp::from_millis(millis))
            .map_err(failed)?;
        let keyframe = matches!(coded.frame_type(), FrameType::IDR | FrameType::I);
        let data = coded.to_vec();
        self.size = Some((width, height));
        if resized {
            // The crate's configuration still holds the first bitrate.
            self.apply_bitrate();
        }
        let frame = EncodedFrame {
            data: data.into(),
            keyframe,
            capture_time: at,
            width: width as u32,
            height: height as u32,
        };
        Ok((!frame.data.is_empty()).then_some(frame))
    }

    fn set_bitrate(&mut self, bps: u32) {
        self.bitrate = bps.max(MIN_BITRATE);
        if self.size.is_some() {
            self.apply_bitrate();
        }
    }
}

fn failed(error: openh264::Error) -> EncodeError {
    EncodeError::Encoder(error.to_string())
}
