//! The same request made twice makes one session.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{error::ApiError, keys::Owner};

const ANSWER_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_ENTRIES: usize = 4096;
const MAX_KEY_BYTES: usize = 255;

type Key = (Owner, String);

/// The requests of the last day that bore a key. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Idempotency(Arc<Mutex<HashMap<Key, Entry>>>);

struct Entry {
    body: [u8; 32],
    at: Instant,
    /// `None` while it is being answered.
    answer: Option<StoredAnswer>,
}

/// The answer's body, which holds the session's link.
pub(super) type StoredAnswer = Arc<Zeroizing<Vec<u8>>>;

pub(super) enum IdempotentRequest {
    /// The first of its kind: answer it.
    Fresh(AnswerClaim),
    /// It was answered so.
    Answered(StoredAnswer),
}

/// The right to answer; forgotten unless [`AnswerClaim::store`] is called.
pub(super) struct AnswerClaim {
    table: Idempotency,
    key: Option<Key>,
}

impl Idempotency {
    pub(super) fn begin(
        &self,
        owner: Owner,
        key: &str,
        body: &[u8],
    ) -> Result<IdempotentRequest, ApiError> {
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=MAX_KEY_BYTES).contains(&key.len()) || !visible {
            return Err(ApiError::invalid(
                "Idempotency-Key",
                "must have from 1 to 255 visible ASCII characters",
            ));
        }
        let key = (owner, key.to_owned());
        let body: [u8; 32] = Sha256::digest(body).into();
        let now = Instant::now();
        let mut entries = self.0.lock();
        entries.retain(|_, entry| {
            entry.answer.is_none() || now.duration_since(entry.at) < ANSWER_RETENTION
        });
        if let Some(entry) = entries.get(&key) {
            return match &entry.answer {
                _ if entry.body != body => Err(ApiError::Mismatch),
                Some(answer) => Ok(IdempotentRequest::Answered(Arc::clone(answer))),
                None => Err(ApiError::InFlight),
            };
        }
        if entries.len() >= MAX_ENTRIES {
            let answered = entries.iter().filter(|(_, e)| e.answer.is_some());
            let oldest = answered
                .min_by_key(|(_, e)| e.at)
                .map(|(key, _)| key.clone());
            oldest.and_then(|key| entries.remove(&key));
        }
        let answer = None;
        let entry = Entry {
            body,
            at: now,
            answer,
        };
        entries.insert(key.clone(), entry);
        Ok(IdempotentRequest::Fresh(AnswerClaim {
            table: self.clone(),
            key: Some(key),
        }))
    }
}

impl AnswerClaim {
    /// Remembers the answer.
    pub(super) fn store(mut self, answer: StoredAnswer) {
        let mut entries = self.table.0.lock();
        let entry = self.key.take().and_then(|key| entries.get_mut(&key));
        if let Some(entry) = entry {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for AnswerClaim {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut entries = self.table.0.lock();
            entries.remove(&key);
        }
    }
}
