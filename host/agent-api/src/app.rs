//! What every request can reach.

use std::sync::Arc;

use super::audit::AuditLog;
use super::idempotency::Idempotency;
use super::keys::ApiKeys;
use super::rates::Rates;
use super::sessions::Sessions;
use super::webhook::WebhookPolicy;

/// What every request can reach.
pub(super) struct App {
    pub(super) sessions: Arc<Sessions>,
    pub(super) keys: ApiKeys,
    pub(super) rates: Rates,
    pub(super) allow_hosts: Vec<String>,
    pub(super) idempotency: Idempotency,
    pub(super) audit: AuditLog,
    pub(super) webhooks: WebhookPolicy,
}
