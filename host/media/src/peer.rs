//! The host's end of the WebRTC connection: one video track, one data channel, one certificate.

mod bandwidth;
mod certificate;
mod codecs;
mod error;
mod keyframe_requests;
mod local_addresses;
mod pacing;
pub mod sdp;
mod video;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authloop_protocol::{invitation::Fingerprint, signal::LegIce};
use bytes::{Bytes, BytesMut};
use rtc::{
    ice::mdns::MulticastDnsMode,
    interceptor::Slot,
    peer_connection::configuration::RTCOfferOptions,
    rtp_transceiver::rtp_sender::{RTCRtpHeaderExtensionCapability, RtpCodecKind},
};
use tokio::sync::mpsc;
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    media_stream::track_local::{TrackLocal, TrackLocalEvent, static_rtp::TrackLocalStaticRTP},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
        RTCConfigurationBuilder, RTCPeerConnectionState, RTCSessionDescription, Registry,
        SettingEngineBuilder, configure_nack, configure_rtcp_reports,
    },
    rtp_transceiver::{RTCRtpTransceiverDirection, RtpSender},
};

use self::{
    codecs::{H264_PAYLOAD_TYPE, VP8_PAYLOAD_TYPE, codecs, track},
    local_addresses::local_addresses,
};
use crate::encode::Codec;

pub use webrtc::peer_connection::RTCIceConnectionState;

pub use bandwidth::TargetBitrate;
pub use certificate::DtlsCertificate;
pub use error::PeerError;
pub use sdp::SdpError;
pub use video::VideoSender;

/// Fixed by `docs/PROTOCOL.md` section 6.
const CHANNEL_LABEL: &str = "authloop";
const CHANNEL_ID: u16 = 0;
const PLAYOUT_DELAY_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Events that may wait for the handoff loop.
const MAX_QUEUED_EVENTS: usize = 256;
/// Bytes that the channel may hold unsent; the host's messages are small and few.
const MAX_SEND_BUFFER_BYTES: usize = 1024 * 1024;
/// Silence after which the path counts as disconnected, and as failed. Viewer or signaling usually say
/// sooner that it is.
const ICE_DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(5);
const ICE_FAILED_TIMEOUT: Duration = Duration::from_secs(25);
const ICE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// What happens at the connection.
#[derive(Debug)]
pub enum PeerEvent {
    /// The data channel can be used.
    Open,
    /// A message of the viewer, and when it came.
    Message(Bytes, Instant),
    /// The ICE path changed.
    Ice(RTCIceConnectionState),
    /// The connection is over and cannot be restored.
    Closed,
    /// The viewer's decoder needs a keyframe.
    Keyframe,
}

/// One peer connection with the viewer.
pub struct Peer {
    pc: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    sender: Arc<dyn RtpSender>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    target: TargetBitrate,
    events: mpsc::Sender<PeerEvent>,
    /// The viewer's answer as it travelled; `None` before it came.
    answer: Option<String>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl Peer {
    /// Makes the connection and its offer. `ice` tells where the relay is, so that the right local
    /// address is bound.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn offer(
        certificate: &DtlsCertificate,
        ice: &LegIce,
    ) -> Result<(Self, mpsc::Receiver<PeerEvent>, String), PeerError> {
        let (events, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        let (media, registry, target) = configure_media(events.clone())?;
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            // The relay is the only path; the local network is not asked for another.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_ice_timeouts(
                Some(ICE_DISCONNECTED_TIMEOUT),
                Some(ICE_FAILED_TIMEOUT),
                Some(ICE_KEEPALIVE_INTERVAL),
            )
            .build();
        let configuration = RTCConfigurationBuilder::new()
            .with_certificates(vec![certificate.as_rtc().clone()])
            .build();
        let pc: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(configuration)
                .with_media_engine(media)
                .with_setting_engine(settings)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(EventForwarder(events.clone())))
                .with_udp_addrs(local_addresses(ice)?)
                .with_data_channel_send_buffer_limit(MAX_SEND_BUFFER_BYTES)
                .build()
                .await?,
        );
        let ssrc = rand::random();
        // The codec named here is only the preferred one: packets go by their payload type.
        let track = track(Codec::H264, ssrc);
        let sender = pc
            .add_track(Arc::clone(&track) as Arc<dyn TrackLocal>)
            .await?;
        // A track would be offered in its own codec only, which Firefox does not always have.
        for transceiver in pc.get_transceivers().await {
            transceiver.set_codec_preferences(codecs()).await?;
            transceiver
                .set_direction(RTCRtpTransceiverDirection::Sendonly)
                .await?;
        }
        let channel = pc
            .create_data_channel(
                CHANNEL_LABEL,
                Some(RTCDataChannelInit {
                    ordered: true,
                    negotiated: Some(CHANNEL_ID),
                    ..RTCDataChannelInit::default()
                }),
            )
            .await?;
        tokio::spawn(read_channel(Arc::clone(&channel), events.clone()));
        let offer = pc.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        pc.set_local_description(offer).await?;
        let peer = Self {
            pc,
            channel,
            sender,
            track,
            ssrc,
            target,
            events,
            answer: None,
        };
        Ok((peer, receiver, sdp))
    }

    /// Takes the viewer's answer, with the relay's leg as its path. Returns the codec the viewer
    /// prefers and what sends it.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn accept(
        &mut self,
        answer: &str,
        ice: &LegIce,
    ) -> Result<(Codec, VideoSender), PeerError> {
        let (codec, payload_type) = sdp::video_payload_types(answer)
            .into_iter()
            .find_map(|payload_type| match payload_type {
                H264_PAYLOAD_TYPE => Some((Codec::H264, H264_PAYLOAD_TYPE)),
                VP8_PAYLOAD_TYPE => Some((Codec::Vp8, VP8_PAYLOAD_TYPE)),
                _ => None,
            })
            .ok_or(PeerError::NoCodec)?;
        self.set_answer(answer, ice).await?;
        self.answer = Some(answer.to_owned());
        let track = Arc::clone(&self.track);
        tokio::spawn(read_feedback(Arc::clone(&track), self.events.clone()));
        let video = VideoSender::new(track, codec, payload_type, self.ssrc, rand::random());
        Ok((codec, video))
    }

    /// Restarts ICE on the host's leg with the relay's new credentials; DTLS and SCTP go on.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn restart(&self, ice: &LegIce) -> Result<(), PeerError> {
        let Some(answer) = &self.answer else {
            return Ok(());
        };
        let offer = self
            .pc
            .create_offer(Some(RTCOfferOptions { ice_restart: true }))
            .await?;
        self.pc.set_local_description(offer).await?;
        self.set_answer(answer, ice).await
    }

    async fn set_answer(&self, answer: &str, ice: &LegIce) -> Result<(), PeerError> {
        let munged = RTCSessionDescription::answer(sdp::munge(answer, ice)?)?;
        Ok(self.pc.set_remote_description(munged).await?)
    }

    /// This end's ICE credentials: username fragment, password.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] before the offer is set.
    pub async fn credentials(&self) -> Result<(String, String), PeerError> {
        let local = self.pc.local_description().await;
        Ok(sdp::local_credentials(
            local.as_ref().map_or("", |description| &description.sdp),
        )?)
    }

    /// The certificate that DTLS really presented.
    ///
    /// # Errors
    /// [`PeerError::NoCertificate`] before the handshake is done.
    pub async fn remote_fingerprint(&self) -> Result<Fingerprint, PeerError> {
        let dtls = self.sender.transport().await?;
        let dtls = dtls.ok_or(PeerError::NoCertificate)?;
        let chain = dtls.get_remote_certificates().await?;
        let der = chain.first().ok_or(PeerError::NoCertificate)?;
        Ok(Fingerprint::of_certificate(der))
    }

    /// Sends one data-channel message, without waiting for room.
    ///
    /// # Errors
    /// [`PeerError::WebRtc`] when the channel is closed or its buffer is full.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), PeerError> {
        Ok(self.channel.try_send(BytesMut::from(bytes)).await?)
    }

    /// What the congestion controller allows.
    pub fn target_bitrate(&self) -> &TargetBitrate {
        &self.target
    }

    /// Ends the connection.
    pub async fn close(&self) {
        if let Err(error) = self.pc.close().await {
            tracing::debug!(%error, "closing the peer connection");
        }
    }
}

/// Passes what the library reports on to the events.
struct EventForwarder(mpsc::Sender<PeerEvent>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for EventForwarder {
    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        // Never waits: the library's driver must not stall on a busy loop.
        let _ = self.0.try_send(PeerEvent::Ice(state));
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if matches!(state, RTCPeerConnectionState::Closed) {
            let _ = self.0.try_send(PeerEvent::Closed);
        }
    }
}

async fn read_channel(channel: Arc<dyn DataChannel>, events: mpsc::Sender<PeerEvent>) {
    while let Some(event) = channel.poll().await {
        let event = match event {
            DataChannelEvent::OnOpen => PeerEvent::Open,
            DataChannelEvent::OnMessage(message) => {
                PeerEvent::Message(message.data.freeze(), Instant::now())
            }
            DataChannelEvent::OnClose => PeerEvent::Closed,
            _ => continue,
        };
        // Waiting here holds SCTP's window shut: the viewer is slowed, nothing is lost.
        if events.send(event).await.is_err() {
            return;
        }
    }
    let _ = events.send(PeerEvent::Closed).await;
}

async fn read_feedback(track: Arc<TrackLocalStaticRTP>, events: mpsc::Sender<PeerEvent>) {
    while let Some(TrackLocalEvent::OnRtcpPacket(_)) = track.poll().await {
        if let Err(mpsc::error::TrySendError::Closed(_)) = events.try_send(PeerEvent::Keyframe) {
            return;
        }
    }
}

/// Makes the library's media engine and its interceptors.
fn configure_media(
    events: mpsc::Sender<PeerEvent>,
) -> Result<(MediaEngine, Registry, TargetBitrate), PeerError> {
    let mut media = MediaEngine::default();
    for codec in codecs() {
        media.register_codec(codec, RtpCodecKind::Video)?;
    }
    media.register_header_extension(
        RTCRtpHeaderExtensionCapability {
            uri: PLAYOUT_DELAY_URI.to_owned(),
        },
        RtpCodecKind::Video,
        None,
    )?;
    let (registry, target) =
        bandwidth::configure_congestion_control(Registry::new(), &mut media, move || {
            // If it is full, the loop has enough requests.
            let _ = events.try_send(PeerEvent::Keyframe);
        })?;
    let registry = configure_nack(registry, &mut media);
    let registry = configure_rtcp_reports(registry)
        // After every interceptor that reads RTCP, so that none misses what this one drops.
        .with(
            Slot::from(14_000),
            keyframe_requests::KeyframeRequestFilter::default(),
        );
    Ok((media, registry, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_codecs_are_offered_best_first_to_whoever_only_receives() {
        let leg = LegIce {
            generation: 1,
            ufrag: "relayufrag".to_owned(),
            pwd: "relaypasswordrelaypassword".to_owned(),
            candidates: vec!["127.0.0.1:9".parse().unwrap()],
            tcp: Vec::new(),
            turn: None,
        };

        let (peer, _events, offer) = Peer::offer(&DtlsCertificate::generate().unwrap(), &leg)
            .await
            .unwrap();

        let offered = sdp::video_payload_types(&offer);
        assert_eq!(offered, [H264_PAYLOAD_TYPE, VP8_PAYLOAD_TYPE]);
        let (video, _) = offer.split_once("m=application").unwrap();
        assert!(video.contains("\r\na=sendonly\r\n"), "{offer}");
        peer.close().await;
    }
}
