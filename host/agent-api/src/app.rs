//! What every request can reach.

use std::sync::Arc;

use super::{
    audit::AuditLog, idempotency::Idempotency, keys::ApiKeys, rates::Rates, room::RoomPolicy,
    sessions::Sessions, webhook::WebhookPolicy,
};

/// What every request can reach.
pub(super) struct App {
    pub(super) sessions: Arc<Sessions>,
    pub(super) keys: ApiKeys,
    pub(super) rates: Rates,
    pub(super) allow_hosts: Vec<String>,
    pub(super) idempotency: Idempotency,
    pub(super) audit: AuditLog,
    pub(super) webhooks: WebhookPolicy,
    pub(super) rooms: RoomPolicy,
}
