//! What Redis holds of a session: one hash, enough for any node to take it over.

use std::{collections::HashMap, sync::Arc, time::Duration};

use authloop_bearer::SecretHash;
use authloop_protocol::{
    device::DeviceKey,
    id::{Blob, SessionId},
    signal::{Outcome, SessionState, SessionStatus, WallType},
};
use tokio::time::Instant;

use super::nodes::NodeId;
use crate::session::Registration;

/// One session as every node sees it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: SessionId,
    /// The node that holds its legs and its sockets' other ends.
    pub(super) owner: NodeId,
    /// Rises whenever the owner changes; what an earlier owner writes is refused.
    pub(crate) epoch: u64,
    pub(crate) invitation: Arc<[u8]>,
    pub(crate) claim_hash: SecretHash,
    pub(crate) host_token: SecretHash,
    pub(crate) device: Option<DeviceKey>,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    /// Unix milliseconds.
    pub(crate) created_unix_ms: u64,
    pub(crate) wall_type: Option<WallType>,
    pub(crate) outcome: Option<Outcome>,
}

/// The names of the hash's fields.
pub(super) mod field {
    pub(in super::super) const OWNER: &str = "owner";
    pub(in super::super) const EPOCH: &str = "epoch";
    pub(in super::super) const DEVICE: &str = "device";
    pub(in super::super) const OUTCOME: &str = "outcome";
    pub(super) const INVITATION: &str = "invitation";
    pub(super) const CLAIM_HASH: &str = "claim_hash";
    pub(super) const HOST_TOKEN: &str = "host_token";
    pub(super) const EXPIRES_AT: &str = "expires_at";
    pub(super) const CREATED_UNIX_MS: &str = "born";
    pub(super) const WALL_TYPE: &str = "wall_type";
}

impl Record {
    /// For a registration that this moment belongs to `owner`.
    pub(super) fn new(
        registration: &Registration,
        owner: NodeId,
        epoch: u64,
        created_unix_ms: u64,
    ) -> Self {
        Self {
            id: registration.id,
            owner,
            epoch,
            invitation: registration.invitation.clone(),
            claim_hash: registration.claim_hash,
            host_token: registration.host_token,
            device: registration.device.clone(),
            expires_at: registration.expires_at,
            created_unix_ms,
            wall_type: registration.wall_type,
            outcome: None,
        }
    }

    /// The same by a clock that is ahead of that of its times by so many ms.
    pub(super) fn shifted(&self, ahead_ms: i64) -> Self {
        // To the nearest second, so that clocks that agree shift nothing.
        let ahead_secs = ahead_ms.saturating_add(500).div_euclid(1000);
        Self {
            expires_at: self.expires_at.saturating_add_signed(ahead_secs),
            created_unix_ms: self.created_unix_ms.saturating_add_signed(ahead_ms),
            ..self.clone()
        }
    }

    /// The hash's fields, as they are written.
    pub(super) fn fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = vec![
            (field::OWNER, self.owner.to_string().into_bytes()),
            (field::EPOCH, self.epoch.to_string().into_bytes()),
            (field::INVITATION, self.invitation.to_vec()),
            (field::CLAIM_HASH, self.claim_hash.as_bytes().to_vec()),
            (field::HOST_TOKEN, self.host_token.as_bytes().to_vec()),
            (field::EXPIRES_AT, self.expires_at.to_string().into_bytes()),
            (
                field::CREATED_UNIX_MS,
                self.created_unix_ms.to_string().into_bytes(),
            ),
        ];
        if let Some(device) = &self.device {
            fields.push((field::DEVICE, device.as_bytes().to_vec()));
        }
        if let Some(wall_type) = self.wall_type {
            fields.push((field::WALL_TYPE, wall_type.as_str().into()));
        }
        fields
    }

    /// Reads the hash; `None` if it is not one that [`Self::fields`] wrote.
    pub(super) fn parse(id: SessionId, fields: &HashMap<String, Vec<u8>>) -> Option<Self> {
        let text = |name| std::str::from_utf8(fields.get(name)?).ok();
        let number = |name| text(name)?.parse::<u64>().ok();
        let hash = |name| {
            let bytes: [u8; 32] = fields.get(name)?.as_slice().try_into().ok()?;
            Some(SecretHash::from_bytes(bytes))
        };
        Some(Self {
            id,
            owner: NodeId::parse(text(field::OWNER)?)?,
            epoch: number(field::EPOCH)?,
            invitation: Arc::from(fields.get(field::INVITATION)?.as_slice()),
            claim_hash: hash(field::CLAIM_HASH)?,
            host_token: hash(field::HOST_TOKEN)?,
            device: match fields.get(field::DEVICE) {
                Some(bytes) => Some(DeviceKey::parse(bytes)?),
                None => None,
            },
            expires_at: number(field::EXPIRES_AT)?,
            created_unix_ms: number(field::CREATED_UNIX_MS)?,
            wall_type: text(field::WALL_TYPE).map(WallType::of),
            outcome: match text(field::OUTCOME) {
                Some(name) => Some(outcome(name)?),
                None => None,
            },
        })
    }

    pub(crate) fn status(&self) -> SessionStatus {
        SessionStatus {
            state: match (self.outcome, &self.device) {
                (Some(_), _) => SessionState::Ended,
                (None, Some(_)) => SessionState::Claimed,
                (None, None) => SessionState::Created,
            },
            outcome: self.outcome,
            invitation: Blob::from(&self.invitation),
            expires_at: self.expires_at,
        }
    }

    /// What a node that takes the session over registers of it.
    pub(crate) fn registration(&self, now: Instant, unix_now: u64) -> Registration {
        let left = Duration::from_secs(self.expires_at.saturating_sub(unix_now));
        Registration {
            id: self.id,
            invitation: self.invitation.clone(),
            claim_hash: self.claim_hash,
            host_token: self.host_token,
            device: self.device.clone(),
            expires_at: self.expires_at,
            deadline: now + left,
            epoch: self.epoch,
            created_unix_ms: self.created_unix_ms,
            wall_type: self.wall_type,
        }
    }
}

fn outcome(name: &str) -> Option<Outcome> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            id: SessionId([7; 16]),
            owner: NodeId::from_bytes([1; 8]),
            epoch: 3,
            invitation: Arc::from([1u8, 2, 3].as_slice()),
            claim_hash: SecretHash::of(b"claim"),
            host_token: SecretHash::of(b"host"),
            device: None,
            expires_at: 1000,
            created_unix_ms: 900_000,
            wall_type: None,
            outcome: None,
        }
    }

    fn written(record: &Record) -> HashMap<String, Vec<u8>> {
        let fields = record.fields().into_iter();
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let read = Record::parse(SessionId([7; 16]), &written(&record())).unwrap();
        assert_eq!(read.owner, record().owner);
        assert_eq!(read.epoch, 3);
        assert_eq!(read.wall_type, None);
        let known = Record {
            wall_type: Some(WallType::Captcha),
            ..record()
        };
        let read_again = Record::parse(SessionId([7; 16]), &written(&known)).unwrap();
        assert_eq!(read_again.wall_type, Some(WallType::Captcha));
        assert!(read.claim_hash.matches(&SecretHash::of(b"claim")));
        assert!(read.host_token.matches(&SecretHash::of(b"host")));
        assert_eq!(read.status().state, SessionState::Created);
        assert_eq!(read.status().invitation, Blob::from([1, 2, 3]));
    }

    #[test]
    fn times_are_shifted_between_clocks_and_back() {
        for ahead in [-900_000, -1499, 0, 400, 86_400_000] {
            let there = record().shifted(ahead);
            assert_eq!(there.shifted(-ahead).expires_at, record().expires_at);
        }
        assert_eq!(record().shifted(400).expires_at, 1000, "they agree");
        assert_eq!(record().shifted(-2_000_000).expires_at, 0);
    }

    #[test]
    fn every_outcome_is_read_by_the_name_it_has_on_the_wire() {
        for outcome in [
            Outcome::Resolved,
            Outcome::Declined,
            Outcome::Cancelled,
            Outcome::Expired,
        ] {
            let mut fields = written(&record());
            fields.insert(field::OUTCOME.to_owned(), outcome.as_str().into());
            let read = Record::parse(SessionId([7; 16]), &fields).unwrap();
            assert_eq!(read.outcome, Some(outcome));
            assert_eq!(read.status().state, SessionState::Ended);
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_no_record() {
        for name in written(&record()).keys() {
            let mut fields = written(&record());
            fields.insert(name.clone(), vec![0xff]);
            // An invitation may be any bytes; its own reader judges them.
            let broken = Record::parse(SessionId([7; 16]), &fields).is_none();
            assert_eq!(broken, name != field::INVITATION, "{name}");
            fields.remove(name);
            assert!(
                Record::parse(SessionId([7; 16]), &fields).is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_deadline_is_what_is_left_of_the_life() {
        let now = Instant::now();
        assert_eq!(
            record().registration(now, 990).deadline,
            now + Duration::from_secs(10)
        );
        assert_eq!(record().registration(now, 2000).deadline, now);
    }
}
