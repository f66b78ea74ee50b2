//! How a connection comes about: the leg's ICE parameters, hellos, and the viewer's sealed records.

use authloop_media::encode::Codec;
use authloop_protocol::{
    id::Blob,
    input::DeclineReason,
    seal::{BlobKind, Hello, HelloKeys, SealedSignal, blob_kind, open_hello},
    sequence::InputSequence,
    signal::{HostMessage, LegIce, Outcome},
};

use super::PeerLink;
use crate::{
    connection::{Connection, ConnectionError},
    session_secrets::SessionSecrets,
};

/// Hellos that one session may make; each costs an HPKE opening and a peer connection.
const MAX_HELLOS: usize = 256;

/// What new ICE parameters of the leg call for.
pub(in crate::session) enum LegChange {
    /// Nothing.
    Nothing,
    /// A hello has waited for them.
    Hello(Vec<u8>),
    /// The connection has restarted ICE: the server must know the new credentials.
    Restarted,
}

/// What a sealed blob says.
pub(in crate::session) enum SealedBlob {
    /// Nothing, or nothing yet.
    Nothing,
    /// The viewer asks for a connection.
    Hello(Vec<u8>),
    /// The viewer has answered the offer, and takes this codec.
    Answered(Codec),
    /// The user declines.
    Declined(DeclineReason),
    /// The connection is not what was agreed.
    Refused(ConnectionError),
}

/// A hello that is to be answered.
pub(in crate::session) struct OpenedHello {
    hello: Hello,
    keys: HelloKeys,
    ice: LegIce,
    stream: [u8; 16],
}

impl PeerLink {
    /// Takes the leg's ICE parameters, well-formed.
    pub(in crate::session) async fn set_leg(&mut self, ice: LegIce) -> LegChange {
        let new = self.ice.as_ref() != Some(&ice);
        self.ice = Some(ice.clone());
        if let Some(blob) = self.waiting_hello.take() {
            return LegChange::Hello(blob);
        }
        if new && let Some(connection) = &self.connection {
            match connection.peer.restart(&ice).await {
                Ok(()) => return LegChange::Restarted,
                Err(error) => tracing::warn!(%error, "the ICE restart failed"),
            }
        }
        LegChange::Nothing
    }

    /// The connection's own ICE credentials, which the server must know.
    pub(in crate::session) async fn credentials(&self) -> Option<HostMessage> {
        let connection = self.connection.as_ref()?;
        match connection.peer.credentials().await {
            Ok((ufrag, pwd)) => Some(HostMessage::IceLocal { ufrag, pwd }),
            Err(error) => {
                tracing::warn!(%error, "no ICE credentials to tell");
                None
            }
        }
    }

    /// Takes a blob that the server has passed on.
    pub(in crate::session) async fn open_blob(&mut self, blob: Vec<u8>) -> SealedBlob {
        match blob_kind(&blob) {
            Some(BlobKind::Hello) if self.ice.is_some() => SealedBlob::Hello(blob),
            Some(BlobKind::Hello) => {
                self.waiting_hello = Some(blob);
                SealedBlob::Nothing
            }
            Some(BlobKind::Record(hello)) => self.open_record(hello, &blob).await,
            None => {
                tracing::warn!("a blob of neither kind is refused");
                SealedBlob::Nothing
            }
        }
    }

    async fn open_record(&mut self, hello: [u8; 8], blob: &[u8]) -> SealedBlob {
        let Some(connection) = &mut self.connection else {
            return SealedBlob::Nothing;
        };
        if connection.hello() != hello {
            tracing::debug!("a record of another hello is passed over");
            return SealedBlob::Nothing;
        }
        match connection.open(blob) {
            Ok(SealedSignal::Answer { sdp }) => {
                let Some(ice) = &self.ice else {
                    return SealedBlob::Nothing;
                };
                match connection.accept(sdp, ice).await {
                    Ok(codec) => SealedBlob::Answered(codec),
                    Err(error) => SealedBlob::Refused(error),
                }
            }
            Ok(SealedSignal::Decline { reason }) => SealedBlob::Declined(reason),
            Ok(other) => {
                tracing::warn!(?other, "the viewer may not say this");
                SealedBlob::Nothing
            }
            Err(error) => {
                tracing::warn!(%error, "a record is refused");
                SealedBlob::Nothing
            }
        }
    }

    /// Opens a hello of the device that has the session; `None` if it is not to be answered.
    pub(in crate::session) fn open_hello(
        &mut self,
        blob: &[u8],
        secrets: &SessionSecrets,
        claimant: Option<&Blob>,
    ) -> Option<OpenedHello> {
        let (hello, keys) = match open_hello(&secrets.context, &secrets.host, blob) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "a hello is refused");
                return None;
            }
        };
        if claimant != Some(&hello.device) {
            tracing::warn!("a hello of another device than the claimed one is refused");
            return None;
        }
        if self.hellos.len() >= MAX_HELLOS || !self.hellos.insert(keys.hello_hash) {
            tracing::warn!("a replayed or excessive hello is refused");
            return None;
        }
        let ice = self.ice.clone()?;
        let stream = hello.stream.array::<16>()?;
        Some(OpenedHello {
            hello,
            keys,
            ice,
            stream,
        })
    }

    /// Answers a hello by a new connection; gives the sealed offer to send.
    pub(in crate::session) async fn connect(
        &mut self,
        opened: OpenedHello,
        secrets: &SessionSecrets,
    ) -> Option<Vec<u8>> {
        let OpenedHello {
            hello,
            keys,
            ice,
            stream,
        } = opened;
        self.sequence
            .get_or_insert_with(|| InputSequence::new(stream))
            .resume(stream);
        let offered = Connection::offer(secrets.id, &hello, keys, &secrets.certificate, &ice).await;
        match offered {
            Ok((connection, events, offer)) => {
                self.connection = Some(connection);
                self.events = Some(events);
                Some(offer)
            }
            Err(error) => {
                tracing::warn!(%error, "the hello could not be answered");
                None
            }
        }
    }

    /// Says sealed that the connection is refused.
    pub(in crate::session) fn seal_refusal(
        &mut self,
        error: &ConnectionError,
    ) -> Option<HostMessage> {
        let refuse = SealedSignal::Refuse {
            code: "refused".to_owned(),
            message: error.to_string(),
        };
        self.seal(&refuse)
    }

    /// Says sealed how the handoff ended; `None` if no viewer has said hello.
    pub(in crate::session) fn seal_outcome(
        &mut self,
        outcome: Outcome,
        message: &str,
    ) -> Option<HostMessage> {
        self.seal(&SealedSignal::Outcome {
            outcome,
            message: message.to_owned(),
        })
    }

    fn seal(&mut self, signal: &SealedSignal) -> Option<HostMessage> {
        let blob = self.connection.as_mut()?.seal(signal).ok()?;
        Some(HostMessage::Sealed { data: Blob(blob) })
    }
}
