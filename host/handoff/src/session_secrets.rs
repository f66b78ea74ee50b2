//! Makes a session's secrets and registers it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authloop_media::peer::DtlsCertificate;
use authloop_protocol::{
    id::{Blob, SessionId},
    invitation::{Invitation, PrivateRoom, invitation_hash},
    link::{InvitationHash, LinkFragment, LinkKeys, LinkSecret},
    origin::check_origin,
    plain_text::plain,
    seal::{HostKeyPair, SealContext},
    signal::{CreateSession, SESSION_TTL, SessionCreated},
};
use zeroize::Zeroizing;

use super::{HandoffConfig, HandoffError};
use crate::signal::SignalError;

/// Everything of a session that does not change.
pub(super) struct SessionSecrets {
    pub(super) id: SessionId,
    pub(super) host: HostKeyPair,
    pub(super) certificate: DtlsCertificate,
    pub(super) context: SealContext,
    invitation: Vec<u8>,
    hash: InvitationHash,
    secret: LinkSecret,
    claim_hash: [u8; 32],
    /// How long the session lives from now.
    pub(super) ttl: Duration,
}

impl SessionSecrets {
    /// Draws the secrets and writes the invitation, into `room` if it is a private one.
    pub(super) fn new(
        config: &HandoffConfig,
        room: Option<PrivateRoom>,
    ) -> Result<Self, HandoffError> {
        if !SESSION_TTL.contains(&config.ttl) {
            return Err(HandoffError::Ttl(config.ttl.as_secs()));
        }
        for origin in &config.expected_origins {
            check_origin(origin)?;
        }
        let secret = LinkSecret::new(rand::random());
        let host = HostKeyPair::generate(&mut rand::rng());
        let certificate = DtlsCertificate::generate()?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let invite = |id| {
            let invitation = Invitation {
                v: 1,
                id,
                hpke: Blob::from(host.public()),
                fingerprint: certificate.fingerprint().clone(),
                requester: plain(&config.requester),
                reason: plain(&config.reason),
                origins: config.expected_origins.clone(),
                expires: (now + config.ttl).as_secs(),
                room: room.clone(),
            };
            invitation.to_bytes()
        };
        let (id, invitation, hash) = loop {
            let id = SessionId(rand::random());
            let invitation = invite(id)?;
            let hash = invitation_hash(&invitation);
            // One of 32 is drawn again.
            if hash.ends_in_alphanumeric() {
                break (id, invitation, hash);
            }
        };
        let keys = LinkKeys::derive(&secret, &config.public_origin, id);
        Ok(Self {
            id,
            host,
            certificate,
            context: SealContext::new(id, hash, &keys),
            invitation,
            hash,
            secret,
            claim_hash: keys.claim_hash(),
            ttl: config.ttl,
        })
    }

    /// Registers the session, claimed already by `device` if the server had forgotten it.
    pub(super) async fn register(
        &self,
        config: &HandoffConfig,
        device: Option<&[u8; 65]>,
    ) -> Result<SessionCreated, HandoffError> {
        let mut session = CreateSession {
            id: self.id,
            invitation: Blob::from(&self.invitation),
            claim_hash: Blob::from(self.claim_hash),
            device: device.map(Blob::from),
            wall_type: config.wall_type,
        };
        let created = config.server.create(&session).await;
        // An older server refuses keys that it does not know; this one it can do without.
        if let (Err(SignalError::Refused { status: 400, .. }), Some(_)) =
            (&created, session.wall_type.take())
        {
            return Ok(config.server.create(&session).await?);
        }
        Ok(created?)
    }

    /// The link for the user.
    pub(super) fn link(&self, viewer_origin: &str) -> Zeroizing<String> {
        let fragment = LinkFragment {
            id: self.id,
            secret: self.secret.clone(),
            invitation: self.hash,
        };
        Zeroizing::new(format!("{viewer_origin}/#{}", fragment.encode().as_str()))
    }
}
