//! The codecs that are offered, and the track that can carry either.

use std::sync::Arc;

use rtc::{
    media_stream::MediaStreamTrack,
    peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_VP8},
    rtp_transceiver::rtp_sender::{
        RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
        RTCRtpEncodingParameters, RtpCodecKind,
    },
};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use crate::encode::Codec;

/// RTP payload types, as this side offers them.
pub(super) const H264_PAYLOAD_TYPE: u8 = 102;
pub(super) const VP8_PAYLOAD_TYPE: u8 = 96;
/// Constrained baseline, level 5.2: sharp phone portraits exceed level 3.1's picture size, and
/// `level-asymmetry-allowed` lets a viewer that names a lower level receive it all the same.
const H264_FORMAT: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e034";

/// The codecs that are offered, best first.
pub(super) fn codecs() -> Vec<RTCRtpCodecParameters> {
    [
        (Codec::H264, H264_PAYLOAD_TYPE),
        (Codec::Vp8, VP8_PAYLOAD_TYPE),
    ]
    .map(|(codec, payload_type)| RTCRtpCodecParameters {
        rtp_codec: rtp_codec(codec),
        payload_type,
    })
    .to_vec()
}

fn rtp_codec(codec: Codec) -> RTCRtpCodec {
    let (mime, format) = match codec {
        Codec::H264 => (MIME_TYPE_H264, H264_FORMAT),
        Codec::Vp8 => (MIME_TYPE_VP8, ""),
    };
    let feedback = |typ: &str, parameter: &str| RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    };
    RTCRtpCodec {
        mime_type: mime.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format.to_owned(),
        rtcp_feedback: vec![
            feedback("ccm", "fir"),
            feedback("nack", ""),
            feedback("nack", "pli"),
        ],
    }
}

pub(super) fn track(codec: Codec, ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let track = MediaStreamTrack::new(
        "authloop".to_owned(),
        "screen".to_owned(),
        "screen".to_owned(),
        RtpCodecKind::Video,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            },
            codec: rtp_codec(codec),
            ..RTCRtpEncodingParameters::default()
        }],
    );
    Arc::new(TrackLocalStaticRTP::new(track))
}
