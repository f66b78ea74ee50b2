//! From coded pictures to RTP packets (RFC 3550, RFC 6184, RFC 7741), with exact capture times.

use std::{sync::Arc, time::Duration};

use rtc::rtp::{
    Packet,
    codec::{h264::H264Payloader, vp8::Vp8Payloader},
    extension::{HeaderExtension, playout_delay_extension::PlayoutDelayExtension},
    header::Header,
    packetizer::Payloader,
};
use tokio::sync::Mutex;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use crate::encode::{Codec, EncodedFrame};

/// The RTP clock of video, in Hz (RFC 6184 section 8.2.1, RFC 7741 section 6.1).
const CLOCK_RATE_HZ: u128 = 90_000;
/// Largest payload of a packet: below the smallest path MTU of IPv6 less IP, UDP, SRTP and extension
/// headers.
const MAX_PAYLOAD_BYTES: usize = 1160;

/// Sends coded pictures on one peer connection's video track.
#[derive(Clone)]
pub struct VideoSender {
    track: Arc<TrackLocalStaticRTP>,
    stream: Arc<Mutex<RtpStream>>,
}

impl std::fmt::Debug for VideoSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoSender").finish_non_exhaustive()
    }
}

struct RtpStream {
    payloader: Box<dyn Payloader>,
    payload_type: u8,
    ssrc: u32,
    sequence_number: u16,
    /// What RTP time counts from, at random.
    timestamp_offset: u32,
}

impl VideoSender {
    pub(super) fn new(
        track: Arc<TrackLocalStaticRTP>,
        codec: Codec,
        payload_type: u8,
        ssrc: u32,
        random: u64,
    ) -> Self {
        let payloader: Box<dyn Payloader> = match codec {
            Codec::H264 => Box::new(H264Payloader::default()),
            Codec::Vp8 => Box::new(Vp8Payloader::default()),
        };
        // RFC 3550 section 5.1: both start at random values.
        let [a, b, c, d, e, f, ..] = random.to_be_bytes();
        Self {
            track,
            stream: Arc::new(Mutex::new(RtpStream {
                payloader,
                payload_type,
                ssrc,
                sequence_number: u16::from_be_bytes([a, b]),
                timestamp_offset: u32::from_be_bytes([c, d, e, f]),
            })),
        }
    }

    /// Sends one picture. Returns the bytes of payload sent.
    ///
    /// # Errors
    /// The peer connection's error once it is closed.
    pub async fn send(&self, frame: &EncodedFrame) -> Result<usize, webrtc::error::Error> {
        let mut stream = self.stream.lock().await;
        let payloads = stream.payloader.payload(MAX_PAYLOAD_BYTES, &frame.data)?;
        let timestamp = stream
            .timestamp_offset
            .wrapping_add(rtp_time(frame.capture_time));
        // The picture is shown as soon as it is decoded: live control cannot afford a playout buffer.
        let extensions = [HeaderExtension::PlayoutDelay(PlayoutDelayExtension::new(
            0, 0,
        ))];
        let last = payloads.len().saturating_sub(1);
        let mut sent = 0;
        for (index, payload) in payloads.into_iter().enumerate() {
            sent += payload.len();
            let packet = Packet {
                header: Header {
                    version: 2,
                    marker: index == last,
                    payload_type: stream.payload_type,
                    sequence_number: stream.sequence_number,
                    timestamp,
                    ssrc: stream.ssrc,
                    ..Header::default()
                },
                payload,
            };
            stream.sequence_number = stream.sequence_number.wrapping_add(1);
            self.track
                .write_rtp_with_extensions(packet, &extensions)
                .await?;
        }
        Ok(sent)
    }
}

fn rtp_time(capture: Duration) -> u32 {
    let ticks = capture.as_micros() * CLOCK_RATE_HZ / 1_000_000;
    // RTP time wraps (RFC 3550 section 5.1).
    u32::try_from(ticks % (1 << 32)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_runs_at_90_khz_and_wraps() {
        assert_eq!(rtp_time(Duration::from_millis(1)), 90);
        assert_eq!(rtp_time(Duration::from_secs(1)), 90_000);
        let wrap = Duration::from_secs((1 << 32) / 90_000 + 1);
        assert!(rtp_time(wrap) < 90_000);
    }
}
