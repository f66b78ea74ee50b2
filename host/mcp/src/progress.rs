//! Progress notifications, for clients that asked for them.

use authloop_agent_api_types::{Status, client::Session};
use rmcp::{
    model::{ProgressNotificationParam, ProgressToken},
    service::{Peer, RequestContext, RoleServer},
};

/// Tells one call's progress.
pub(crate) struct Progress {
    to: Option<(ProgressToken, Peer<RoleServer>)>,
    told: u32,
}

impl Progress {
    /// Of the call that `context` belongs to.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self {
            to: token.map(|token| (token, context.peer.clone())),
            told: 0,
        }
    }

    /// Tells where the session stands; also that nothing changed, so that the client goes on waiting.
    pub(crate) async fn tell(&mut self, session: &Session) {
        let Some((token, peer)) = &self.to else {
            return;
        };
        self.told += 1;
        let message = match session.status {
            Status::Pending => "waiting for the user to open the link",
            Status::Active => "the user is signing in",
            Status::Resolved | Status::Cancelled | Status::Timeout | Status::Error => {
                "the handoff has ended"
            }
        };
        let param = ProgressNotificationParam::new(token.clone(), f64::from(self.told))
            .with_message(message);
        if let Err(error) = peer.notify_progress(param).await {
            // The call itself will show it.
            tracing::debug!(%error, "progress was not told");
        }
    }
}
