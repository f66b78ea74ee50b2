//! H.264 by OpenH264, set up for text on a screen.

use std::time::{Duration, Instant};

use authloop_protocol::quantity::{Bitrate, DataSize};
use openh264::{
    OpenH264API, Timestamp,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
        Profile, RateControlMode, UsageType, VuiConfig,
    },
    formats::YUVSlices,
};
use openh264_sys2::{
    ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, ENCODER_OPTION_TRACE_LEVEL, SEncParamExt, WELS_LOG_QUIET,
};

use super::{
    EncodeError, EncodedFrame, Picture, VideoEncoder,
    quantizer_control::{Purpose, QuantizerControl},
};

const MAX_FRAME_RATE_HZ: f32 = 30.0;
const MIN_BITRATE: Bitrate = Bitrate::from_kbps(50);

/// A constrained-baseline encoder: no reordering, keyframes only when asked.
pub struct H264Encoder {
    encoder: Encoder,
    quantizer_control: QuantizerControl,
    /// The quantizer the encoder has now; `None` before the first picture.
    quantizer: Option<i32>,
    /// Size of the pictures so far; `None` before the first.
    size: Option<(usize, usize)>,
}

impl std::fmt::Debug for H264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H264Encoder").finish_non_exhaustive()
    }
}

impl H264Encoder {
    /// Makes an encoder that aims at `bitrate`.
    pub fn new(bitrate: Bitrate) -> Result<Self, EncodeError> {
        let bitrate = bitrate.max(MIN_BITRATE);
        let bps = u32::try_from(bitrate.as_bps()).unwrap_or(u32::MAX);
        let config = EncoderConfig::new()
            .usage_type(UsageType::ScreenContentRealTime)
            .profile(Profile::Baseline)
            .bitrate(BitRate::from_bps(bps))
            // OpenH264's own rate control leaves a still page as coarse as it was first coded.
            .rate_control_mode(RateControlMode::Off)
            .max_frame_rate(FrameRate::from_hz(MAX_FRAME_RATE_HZ))
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
            quantizer_control: QuantizerControl::new(bitrate, Instant::now()),
            quantizer: None,
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

    /// The safe API sets a quantizer only with a new encoder, which would cost a keyframe.
    #[expect(
        unsafe_code,
        reason = "OpenH264 options are read and set through a pointer"
    )]
    fn apply_quantizer(&mut self, quantizer: i32) {
        if self.quantizer == Some(quantizer) {
            return;
        }
        let mut params = SEncParamExt::default();
        // SAFETY: the encoder is initialised once a picture was encoded, which the caller checks;
        // the option reads and writes one SEncParamExt, and changes nothing but what we change.
        let refused = unsafe {
            let api = self.encoder.raw_api();
            let option = ENCODER_OPTION_SVC_ENCODE_PARAM_EXT;
            match api.get_option(option, (&raw mut params).cast()) {
                0 => {
                    params.sSpatialLayers[0].iDLayerQp = quantizer;
                    api.set_option(option, (&raw mut params).cast())
                }
                refused => refused,
            }
        };
        match refused {
            0 => self.quantizer = Some(quantizer),
            _ => tracing::debug!(refused, "the encoder kept its quantizer"),
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        purpose: Purpose,
        at: Duration,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let (width, height) = (picture.width(), picture.height());
        let quantizer = self.quantizer_control.choose(purpose, at);
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX / 2);
        let at_millis = Timestamp::from_millis(millis);
        let is_new_size = self.size != Some((width, height));
        if is_new_size {
            // The encoder starts again, with its own quantizer, which can be changed only once it has
            // coded something: a blank picture, which is not sent.
            self.quantizer = None;
            let blank = Picture::solid(width, height, [128; 3]);
            self.encoder
                .encode_at(&slices(&blank), at_millis)
                .map_err(failed)?;
        }
        self.apply_quantizer(quantizer);
        if is_new_size || purpose == Purpose::Keyframe {
            self.encoder.force_intra_frame();
        }
        let coded = self
            .encoder
            .encode_at(&slices(picture), at_millis)
            .map_err(failed)?;
        let keyframe = matches!(coded.frame_type(), FrameType::IDR | FrameType::I);
        let data = coded.to_vec();
        self.size = Some((width, height));
        self.quantizer_control
            .add_frame(DataSize::from_bytes(data.len()));
        let frame = EncodedFrame {
            data: data.into(),
            keyframe,
            capture_time: at,
            width: width as u32,
            height: height as u32,
            received: None,
        };
        Ok((!frame.data.is_empty()).then_some(frame))
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) {
        self.quantizer_control.set_bitrate(bitrate.max(MIN_BITRATE));
    }
}

fn slices(picture: &Picture) -> YUVSlices<'_> {
    let width = picture.width();
    YUVSlices::new(
        (picture.y(), picture.u(), picture.v()),
        (width, picture.height()),
        (width, width / 2, width / 2),
    )
}

fn failed(error: openh264::Error) -> EncodeError {
    EncodeError::Encoder(error.to_string())
}
