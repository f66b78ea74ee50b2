//! One hello's connection: its keys, its peer connection, and what has been confirmed of both.

use authloop_media::{
    encode::Codec,
    peer::{DtlsCertificate, Peer, PeerError, PeerEvent, VideoSender, sdp},
};
use authloop_protocol::{
    frame::{Frame, FrameOpener, OutputSealer},
    id::{Blob, SessionId},
    invitation::Fingerprint,
    output::OutputMessage,
    seal::{Hello, HelloKeys, RecordOpener, RecordSealer, SealError, SealedSignal, Transcript},
    signal::LegIce,
};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

/// Why a connection is given up. Nothing of it reaches the page.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The viewer's description or its DTLS certificate is not the sealed one.
    #[error("the viewer's certificate is not the one it sealed")]
    Fingerprint,
    /// The two sides did not see the same handshake.
    #[error("the viewer confirmed another handshake")]
    Transcript,
}

impl From<sdp::SdpError> for ConnectionError {
    fn from(error: sdp::SdpError) -> Self {
        Self::Peer(error.into())
    }
}

/// What a control frame says.
#[derive(Deserialize)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Control {
    /// What the viewer saw of the handshake.
    Confirm { transcript: Blob },
    /// Are you there?
    Ping { n: u32 },
}

pub(super) struct Connection {
    id: SessionId,
    pub(super) peer: Peer,
    keys: HelloKeys,
    sealer: RecordSealer,
    opener: RecordOpener,
    frames: FrameOpener,
    output: OutputSealer,
    offer: String,
    host: Fingerprint,
    viewer: Fingerprint,
    /// The device that made the hello.
    device: Blob,
    answer: Option<String>,
    transcript: Option<[u8; 32]>,
    /// Both sides have confirmed the handshake.
    pub(super) verified: bool,
    pub(super) video: Option<VideoSender>,
}

impl Connection {
    /// Answers a hello: a peer connection, and the sealed offer to send.
    pub(super) async fn offer(
        id: SessionId,
        hello: &Hello,
        keys: HelloKeys,
        certificate: &DtlsCertificate,
        ice: &LegIce,
    ) -> Result<(Self, mpsc::Receiver<PeerEvent>, Vec<u8>), ConnectionError> {
        let (peer, events, offer) = Peer::offer(certificate, ice).await?;
        let (mut sealer, opener) = keys.host_records();
        let blob = sealer.seal(&SealedSignal::Offer { sdp: offer.clone() })?;
        let connection = Self {
            id,
            peer,
            frames: FrameOpener::new(&keys.data_v2h),
            output: OutputSealer::new(&keys.data_h2v),
            keys,
            sealer,
            opener,
            offer,
            host: certificate.fingerprint().clone(),
            viewer: hello.fingerprint.clone(),
            device: hello.device.clone(),
            answer: None,
            transcript: None,
            verified: false,
            video: None,
        };
        Ok((connection, events, blob))
    }

    /// Whether this is a connection of `device`'s.
    pub(super) fn is_of(&self, device: &Blob) -> bool {
        self.device == *device
    }

    /// The hello that this connection answers.
    pub(super) fn hello(&self) -> [u8; 8] {
        self.keys.hello
    }

    /// Opens a record of the viewer's.
    pub(super) fn open(&mut self, blob: &[u8]) -> Result<SealedSignal, SealError> {
        self.opener.open(blob)
    }

    /// Seals a record for the viewer.
    pub(super) fn seal(&mut self, signal: &SealedSignal) -> Result<Vec<u8>, SealError> {
        self.sealer.seal(signal)
    }

    /// Takes the viewer's answer, once.
    pub(super) async fn accept(
        &mut self,
        answer: String,
        ice: &LegIce,
    ) -> Result<Codec, ConnectionError> {
        if self.answer.is_some() {
            return Err(SealError::Replayed.into());
        }
        if sdp::fingerprint(&answer)? != self.viewer {
            return Err(ConnectionError::Fingerprint);
        }
        let (codec, video) = self.peer.accept(&answer, ice).await?;
        self.video = Some(video);
        self.answer = Some(answer);
        Ok(codec)
    }

    /// The channel is open: checks the certificate DTLS really got and tells the viewer what this
    /// side saw. `applied` is where the input sequence stands.
    pub(super) async fn confirm(&mut self, applied: u64) -> Result<(), ConnectionError> {
        let presented = self.peer.remote_fingerprint().await?;
        if presented != self.viewer {
            return Err(ConnectionError::Fingerprint);
        }
        let answer = self.answer.as_deref().ok_or(ConnectionError::Transcript)?;
        let transcript = Transcript {
            id: self.id,
            hello_hash: &self.keys.hello_hash,
            offer: &self.offer,
            answer,
            host: &self.host,
            viewer: &presented,
        }
        .hash();
        self.transcript = Some(transcript);
        self.send(&OutputMessage::Confirm {
            transcript: Blob::from(transcript),
            applied,
        })
        .await
    }

    /// Takes the viewer's confirm.
    pub(super) fn accept_confirm(&mut self, transcript: &Blob) -> Result<(), ConnectionError> {
        let ours = self.transcript.ok_or(ConnectionError::Transcript)?;
        if !bool::from(ours.ct_eq(&transcript.0)) {
            return Err(ConnectionError::Transcript);
        }
        self.verified = true;
        Ok(())
    }

    /// Opens an input frame.
    pub(super) fn open_frame(&mut self, bytes: &[u8]) -> Result<Frame, SealError> {
        self.frames.open(bytes)
    }

    /// Sends one sealed message on the data channel.
    pub(super) async fn send(&mut self, message: &OutputMessage) -> Result<(), ConnectionError> {
        let record = self.output.seal(message)?;
        Ok(self.peer.send(&record).await?)
    }
}
