//! What signaling can be told; the root package fills it from flags, environment and file.

use std::{num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use crate::{
    api_keys::ApiKeys,
    brand::Brand,
    origin::Origin,
    rates::{Rates, per},
};

/// All of signaling's settings, already validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin that the world sees; links and the page's policy name it.
    pub public_origin: Origin,
    /// Other origins whose pages may act as viewers.
    pub viewer_origins: Vec<Origin>,
    /// Further names by which requests may ask for this server.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may frame the page, and are told how the session stands.
    pub embed_origins: Vec<Origin>,
    /// What the page shows of whoever runs it.
    pub brand: Brand,
    /// Who may register and end sessions; `None` lets anyone register.
    pub api_keys: Option<ApiKeys>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The registry's bounds.
    pub registry: RegistrySettings,
    /// The WebSockets' bounds.
    pub sockets: SocketSettings,
    /// Rates per client address.
    pub rates: Rates,
    /// How long a request to the sessions API may take, its body included.
    pub request_timeout: Duration,
}

impl Settings {
    /// Defaults for a server at this origin, without API keys.
    #[must_use]
    pub fn new(public_origin: Origin) -> Self {
        Self {
            public_origin,
            viewer_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            embed_origins: Vec::new(),
            brand: Brand::default(),
            api_keys: None,
            trusted_proxies: Vec::new(),
            registry: RegistrySettings::default(),
            sockets: SocketSettings::default(),
            rates: Rates::default(),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// Bounds of the registry.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Sessions that may be open at once.
    pub max_sessions: usize,
    /// Ended sessions that are remembered at once; the oldest is forgotten first.
    pub max_ended: usize,
    /// How long an ended session is remembered, so that late comers hear how it ended.
    pub retention: Duration,
    /// The longest life of a session.
    pub max_lifetime: Duration,
    /// Bytes that all mailboxes may hold together.
    pub max_mailbox_bytes: usize,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            max_sessions: 20_000,
            max_ended: 20_000,
            retention: Duration::from_secs(15 * 60),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            max_mailbox_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Bounds of the WebSockets.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// Sockets that may be open at once.
    pub max_sockets: usize,
    /// How soon a client must say who it is.
    pub first_message_timeout: Duration,
    /// How often the server pings; a client silent for twice as long is dropped.
    pub ping_interval: Duration,
    /// How long one message may take to be written before the client counts as slow.
    pub write_timeout: Duration,
    /// How long the server waits for the client's half of the closing handshake.
    pub close_timeout: Duration,
    /// Messages that may wait for one client: at least a full mailbox and the other side's burst,
    /// so that only one that does not read can ever be called slow.
    pub max_queued_messages: usize,
    /// Bytes of such messages for all clients together, but for one message for each.
    pub max_queued_bytes: usize,
    /// Messages a second from one client, in the long run.
    pub messages_per_second: NonZeroU32,
    /// Messages at once from one client.
    pub message_burst: NonZeroU32,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self {
            max_sockets: 60_000,
            first_message_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
            max_queued_messages: 64,
            max_queued_bytes: 64 * 1024 * 1024,
            messages_per_second: per(20),
            message_burst: per(32),
        }
    }
}
