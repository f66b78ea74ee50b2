//! The shards as signaling's relay.

use async_trait::async_trait;
use authloop_protocol::id::SessionId;
use authloop_relay::Leg;
use authloop_signaling::{LegEvent, LegParameters, Registry, Relay, RelayError, SessionLegs, Side};
use tokio::sync::mpsc;

use crate::{
    config::StreamEndpoints,
    shard::{LegIceParameters, RelayEvent, RelayHandle, ShardError},
};

/// Lets signaling drive the shards.
pub(crate) struct ShardRelay {
    pub(crate) shards: RelayHandle,
    /// Where the HTTP port takes the legs' streams.
    pub(crate) streams: StreamEndpoints,
}

#[async_trait]
impl Relay for ShardRelay {
    async fn open(&self, id: SessionId) -> Result<SessionLegs, RelayError> {
        let legs = match self.shards.open(id.0).await {
            Err(ShardError::Relay(authloop_relay::RelayError::SessionExists)) => {
                // A leftover of a session that ended while it was being opened.
                let _ = self.shards.close(id.0).await;
                self.shards.open(id.0).await
            }
            legs => legs,
        };
        let [host, viewer] = legs.map_err(|error| relay_error(&error))?;
        Ok(SessionLegs {
            host: self.parameters(host),
            viewer: self.parameters(viewer),
        })
    }

    async fn restart(&self, id: SessionId, side: Side) -> Result<LegParameters, RelayError> {
        let ice = self.shards.restart(id.0, leg(side)).await;
        ice.map(|ice| self.parameters(ice))
            .map_err(|error| relay_error(&error))
    }

    async fn set_remote(&self, id: SessionId, side: Side, ufrag: String, pwd: String) {
        if let Err(error) = self.shards.set_remote(id.0, leg(side), &ufrag, &pwd).await {
            tracing::debug!(session = %id, %error, "the relay did not take an endpoint's credentials");
        }
    }

    async fn close(&self, id: SessionId) {
        if let Err(error) = self.shards.close(id.0).await {
            tracing::debug!(session = %id, %error, "the relay did not close a session");
        }
    }
}

impl ShardRelay {
    fn parameters(&self, ice: LegIceParameters) -> LegParameters {
        LegParameters {
            ufrag: ice.ufrag,
            pwd: ice.pwd,
            candidates: ice.candidates,
            tcp: self.streams.tcp.clone(),
            turn: self.streams.turn.clone(),
        }
    }
}

/// Tells the registry what happens to legs, until the relay stops.
pub(crate) async fn forward_leg_events(mut events: mpsc::Receiver<RelayEvent>, registry: Registry) {
    while let Some(event) = events.recv().await {
        let (session, leg, event) = match event {
            RelayEvent::LegConnected { session, leg } => (session, leg, LegEvent::Connected),
            RelayEvent::LegLost { session, leg } => (session, leg, LegEvent::Lost),
        };
        registry.leg_event(SessionId(session.0), side(leg), event);
    }
}

fn leg(side: Side) -> Leg {
    match side {
        Side::Host => Leg::Host,
        Side::Viewer => Leg::Viewer,
    }
}

fn side(leg: Leg) -> Side {
    match leg {
        Leg::Host => Side::Host,
        Leg::Viewer => Side::Viewer,
    }
}

fn relay_error(error: &ShardError) -> RelayError {
    use authloop_relay::RelayError as Core;
    match error {
        ShardError::Relay(Core::UnknownSession) => RelayError::Unknown,
        ShardError::Relay(Core::SessionExists | Core::UfragTaken) => RelayError::Refused,
        ShardError::Stopped
        | ShardError::Config(_)
        | ShardError::Bind { .. }
        | ShardError::Start(_)
        | ShardError::Entropy
        | ShardError::Credentials(_) => RelayError::Stopped,
    }
}
