//! The relay core on its public interface: by example, and on a simulated network.

#![cfg(test)]

#[path = "core/ice.rs"]
mod ice;
#[path = "core/ownership.rs"]
mod ownership;
#[path = "core/replay.rs"]
mod replay;
#[path = "core/sim.rs"]
mod sim;
