//! The authloop server's parts, for its binary, its load generator and its tests.

#![deny(unsafe_code)]

pub mod admin;
pub mod api_keys_file;
pub mod audit;
pub mod check;
pub mod cli;
pub mod config;
pub mod finding;
pub mod metrics;
pub mod new_api_key;
pub mod relay_only;
pub mod serve;
pub mod server;
pub mod shard;
pub mod shutdown;
pub mod verify_page;

mod client_limiter;
mod descriptors;
mod ingress;
mod logging;
mod observer_fanout;
mod shard_relay;
mod tcp_fallback;
mod telemetry;
mod tls;
