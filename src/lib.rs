//! The authloop server's parts, for its binary, its load generator and its tests.

#![deny(unsafe_code)]

pub mod admin;
pub mod audit;
pub mod check;
pub mod cli;
pub mod config;
pub mod keys;
pub mod metrics;
pub mod relay_only;
pub mod serve;
pub mod shard;
pub mod shutdown;
pub mod verify;

mod connection_limiter;
mod ingress;
mod logging;
mod shard_relay;
mod tcp_fallback;
mod telemetry;
mod tls;
mod witness;
