//! VP8 by libvpx, for viewers that cannot decode H.264.
//!
//! The only module that calls libvpx; every call is on one thread at a time (`&mut self`).
#![expect(unsafe_code, reason = "libvpx is C; no maintained safe binding exists")]

use std::{mem::MaybeUninit, time::Duration};

use authloop_protocol::quantity::Bitrate;
use vpx_sys as vpx;

use super::{EncodeError, EncodedFrame, Picture, Purpose, VideoEncoder};

/// Quantizer index (0..=63) above which small text is no longer legible.
const MAX_QUANTIZER: u32 = 48;
const MIN_QUANTIZER: u32 = 4;
/// libvpx's speed setting, -16..=16; this one keeps a phone's picture within a frame time.
const CPU_USED: i32 = -8;
const MIN_BITRATE: Bitrate = Bitrate::from_kbps(50);

/// A VP8 encoder: no alternate reference frames, keyframes only when asked.
pub struct Vp8Encoder {
    /// Kilobits a second.
    bitrate_kbps: u32,
    /// `None` before the first picture.
    context: Option<EncoderContext>,
}

impl std::fmt::Debug for Vp8Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vp8Encoder").finish_non_exhaustive()
    }
}

/// libvpx, set up for one picture size.
struct EncoderContext {
    /// libvpx keeps pointers into it, so it must not move.
    context: Box<vpx::vpx_codec_ctx_t>,
    config: vpx::vpx_codec_enc_cfg_t,
    /// Milliseconds; -1 before the first picture.
    last_pts: i64,
}

// SAFETY: libvpx has no thread affinity, and `&mut self` excludes concurrent calls.
unsafe impl Send for EncoderContext {}

impl Vp8Encoder {
    /// Makes an encoder that aims at `bitrate`.
    pub fn new(bitrate: Bitrate) -> Result<Self, EncodeError> {
        Ok(Self {
            bitrate_kbps: kilobits(bitrate),
            context: None,
        })
    }
}

impl VideoEncoder for Vp8Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        purpose: Purpose,
        at: Duration,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        let has_size = |c: &EncoderContext| (c.config.g_w, c.config.g_h) == (width, height);
        let context = match self.context.take().filter(has_size) {
            Some(context) => self.context.insert(context),
            None => self
                .context
                .insert(EncoderContext::new(width, height, self.bitrate_kbps)?),
        };
        context.encode(picture, purpose, at)
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) {
        self.bitrate_kbps = kilobits(bitrate);
        if let Some(context) = &mut self.context {
            context.config.rc_target_bitrate = self.bitrate_kbps;
            // SAFETY: the context is initialised, and the configuration is only read.
            let result = unsafe {
                vpx::vpx_codec_enc_config_set(&raw mut *context.context, &context.config)
            };
            if check(result).is_err() {
                tracing::debug!("the encoder kept its bitrate");
            }
        }
    }
}

impl EncoderContext {
    fn new(width: u32, height: u32, bitrate_kbps: u32) -> Result<Self, EncodeError> {
        let mut config = MaybeUninit::zeroed();
        // SAFETY: the interface is libvpx's own, and `config` is written before it is read.
        let mut config = unsafe {
            let vp8 = vpx::vpx_codec_vp8_cx();
            check(vpx::vpx_codec_enc_config_default(
                vp8,
                config.as_mut_ptr(),
                0,
            ))?;
            config.assume_init()
        };
        config.g_w = width;
        config.g_h = height;
        config.g_timebase = vpx::vpx_rational { num: 1, den: 1000 };
        config.g_threads = 1;
        config.g_lag_in_frames = 0;
        config.g_error_resilient = 0;
        config.rc_end_usage = vpx::vpx_rc_mode::VPX_CBR;
        config.rc_target_bitrate = bitrate_kbps;
        config.rc_min_quantizer = MIN_QUANTIZER;
        config.rc_max_quantizer = MAX_QUANTIZER;
        config.rc_dropframe_thresh = 0;
        config.rc_resize_allowed = 0;
        config.kf_mode = vpx::vpx_kf_mode::VPX_KF_FIXED;
        config.kf_min_dist = 0;
        config.kf_max_dist = u32::MAX / 2;
        // An all-zero context is what libvpx expects; it zeroes it again itself.
        let mut context = Box::new(MaybeUninit::<vpx::vpx_codec_ctx_t>::zeroed());
        // SAFETY: the context lives in a box and is initialised by this call; from then on it is a
        // valid `vpx_codec_ctx_t`. The controls given take an int.
        let context = unsafe {
            check(vpx::vpx_codec_enc_init_ver(
                context.as_mut_ptr(),
                vpx::vpx_codec_vp8_cx(),
                &raw const config,
                0,
                vpx::VPX_ENCODER_ABI_VERSION as i32,
            ))?;
            let mut this = Self {
                context: context.assume_init(),
                config,
                last_pts: -1,
            };
            this.control(vpx::vp8e_enc_control_id::VP8E_SET_CPUUSED, CPU_USED)?;
            this.control(vpx::vp8e_enc_control_id::VP8E_SET_SCREEN_CONTENT_MODE, 1)?;
            this.control(vpx::vp8e_enc_control_id::VP8E_SET_STATIC_THRESHOLD, 0)?;
            this
        };
        Ok(context)
    }

    /// # Safety
    /// `control` must be one that takes an int.
    unsafe fn control(
        &mut self,
        control: vpx::vp8e_enc_control_id,
        value: i32,
    ) -> Result<(), EncodeError> {
        // SAFETY: the context is initialised; the caller vouches for the argument's type.
        check(unsafe { vpx::vpx_codec_control_(&raw mut *self.context, control as i32, value) })
    }

    fn encode(
        &mut self,
        picture: &Picture,
        purpose: Purpose,
        at: Duration,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX / 2);
        let pts = millis.max(self.last_pts + 1);
        // What rate control budgets for: the time since the last frame, at most a tenth of a second.
        let duration = if self.last_pts < 0 {
            33
        } else {
            (pts - self.last_pts).clamp(1, 100)
        };
        let flags = if purpose == Purpose::Keyframe {
            vpx::VPX_EFLAG_FORCE_KF
        } else {
            0
        };
        let (width, height) = (self.config.g_w, self.config.g_h);
        let mut image = MaybeUninit::<vpx::vpx_image_t>::zeroed();
        // SAFETY: `picture` holds I420 planes of exactly this size without padding, which is what
        // stride alignment 1 describes; libvpx only reads them, within this call.
        unsafe {
            let planes = picture.planes().as_ptr().cast_mut();
            let format = vpx::vpx_img_fmt::VPX_IMG_FMT_I420;
            if vpx::vpx_img_wrap(image.as_mut_ptr(), format, width, height, 1, planes).is_null() {
                return Err(EncodeError::Encoder("no image".to_owned()));
            }
            check(vpx::vpx_codec_encode(
                &raw mut *self.context,
                image.as_ptr(),
                pts,
                duration as std::ffi::c_ulong,
                flags.into(),
                vpx::VPX_DL_REALTIME.into(),
            ))?;
        }
        self.last_pts = pts;
        Ok(self.collect().map(|(data, keyframe)| EncodedFrame {
            data: data.into(),
            keyframe,
            capture_time: at,
            width,
            height,
            received: None,
        }))
    }

    /// The coded frame, and whether it is a keyframe.
    fn collect(&mut self) -> Option<(Vec<u8>, bool)> {
        let mut iterator = std::ptr::null();
        let mut coded = None;
        loop {
            // SAFETY: the context is initialised; the packet is valid until the next call, and its
            // kind says which member of the union is.
            let packet = unsafe {
                vpx::vpx_codec_get_cx_data(&raw mut *self.context, &raw mut iterator).as_ref()
            };
            let Some(packet) = packet else {
                return coded;
            };
            if packet.kind == vpx::vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT {
                // SAFETY: as above.
                coded = Some(unsafe {
                    let frame = &packet.data.frame;
                    let bytes =
                        std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz as usize);
                    (bytes.to_vec(), frame.flags & vpx::VPX_FRAME_IS_KEY != 0)
                });
            }
        }
    }
}

impl Drop for EncoderContext {
    fn drop(&mut self) {
        // SAFETY: initialised, and never used again.
        unsafe {
            vpx::vpx_codec_destroy(&raw mut *self.context);
        }
    }
}

/// The bitrate as libvpx takes it, in whole kilobits a second.
fn kilobits(bitrate: Bitrate) -> u32 {
    bitrate.max(MIN_BITRATE).as_kbps_f64() as u32
}

fn check(result: vpx::vpx_codec_err_t) -> Result<(), EncodeError> {
    match result {
        vpx::vpx_codec_err_t::VPX_CODEC_OK => Ok(()),
        error => Err(EncodeError::Encoder(format!("{error:?}"))),
    }
}
